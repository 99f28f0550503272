//! The driver against a fake at the socket: whatever it answers, a call ends in bounded time, and only an answer that
//! says so counts as purged.

mod fake;

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use schemas::{Exchange, Mode, QueryMatch, Selector};
use tokio::time::Instant;

use self::fake::{Fake, PLAIN, PURGED, Reply, TIMEOUT, driver_of};
use super::*;
use crate::driver::Purge;

/// URLs whose keys take a request each.
fn batch(requests: usize) -> Batch {
    let purge = |at| {
        Purge::new(
            "main".parse().unwrap(),
            Selector::Url {
                scheme: schemas::Scheme::Https,
                host: "www.example.com".parse().unwrap(),
                path: format!("/{at}{}", ",".repeat(2_000)).parse().unwrap(),
                query: QueryMatch::Exact(None),
            },
            Mode::Hard,
        )
    };
    Batch { purges: (0..requests).map(purge).collect() }
}

/// The error of a purge that a fake answers so, with its cause; it must come in time.
async fn failure(probed: &'static str, reply: Reply) -> (PurgeError, String) {
    let fake = Fake::start(probed, move |_| reply.clone()).await;
    let driver = fake.driver();
    driver.abilities().await.unwrap();
    let start = Instant::now();
    let error = driver.purge(&batch(1)).await.expect_err("it must not count as purged");
    assert!(start.elapsed() < TIMEOUT * 3, "it took {:?}", start.elapsed());
    let cause = std::error::Error::source(&error).unwrap().to_string();
    (error, cause)
}

fn with_headers(headers: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nX-Varnish: 1\r\nX-Purgebus: 1; depth=8\r\n{headers}\r\n")
}

#[tokio::test]
async fn hostile_answers_are_errors_in_bounded_time() {
    let (nothing, close) = (String::new(), Reply::Last);
    for (reply, cause) in [
        (Reply::Bytes(nothing.clone()), "no answer within 2s"),
        (Reply::Slowly(PURGED.into(), Duration::from_millis(100)), "no answer within 2s"),
        (close(nothing.clone()), "connection closed"),
        (close("HTTP/1.1 200 OK\r\nX-Var".into()), "connection closed"),
        (close(with_headers("Content-Length: 5\r\n")), "connection closed"),
        (close(with_headers("Transfer-Encoding: chunked\r\n") + "5\r\nab"), "connection closed"),
        (Reply::Bytes("SSH-2.0-OpenSSH_9.2\r\n".into()), "the answer is not HTTP"),
        (Reply::Bytes("HTTP/1.1 2OO OK\r\n\r\n".into()), "the answer is not HTTP"),
        (Reply::Bytes("HTTP/1.1 200 OK\r\nX-Varnish : 1\r\n\r\n".into()), "the answer is not HTTP"),
        (
            Reply::Endless("HTTP/1.1 200 OK\r\n".into(), "A: b\r\n".repeat(99)),
            "the answer is not HTTP",
        ),
        (
            Reply::Endless("HTTP/1.1 200 OK\r\nA: ".into(), "a".repeat(1_000)),
            "the head of the answer is too long",
        ),
        (
            Reply::Bytes(with_headers("Content-Length: 99999999999\r\n")),
            "the body of the answer is too long",
        ),
        (
            Reply::Endless(
                with_headers("Transfer-Encoding: chunked\r\n"),
                "4\r\nabcd\r\n".repeat(999),
            ),
            "the body of the answer is too long",
        ),
        (
            Reply::Bytes(with_headers("Transfer-Encoding: chunked\r\n") + "ffffffffffffffff\r\n"),
            "the body of the answer is too long",
        ),
        (
            Reply::Bytes(with_headers("Transfer-Encoding: chunked\r\n") + "zz\r\n"),
            "unexpected: a broken chunk",
        ),
        (
            Reply::Bytes(with_headers("Content-Length: 0\r\nContent-Length: 9\r\n")),
            "unexpected: a body without a clear length",
        ),
        (Reply::Bytes("HTTP/1.1 100 Continue\r\n\r\n".into()), "unexpected: an interim answer"),
    ] {
        let (error, said) = failure(PURGED, reply.clone()).await;
        assert!(
            matches!(error, PurgeError::Unavailable { after: None, .. }),
            "{reply:?}: {error:?}"
        );
        assert_eq!(said, cause, "{reply:?}");
    }
}

#[tokio::test]
async fn a_refusal_holds_how_the_answer_begins() {
    let long = "x".repeat(5_000);
    let closed = "HTTP/1.1 400 Bad Request\r\n\r\nby Varnish itself".to_owned();
    for (reply, status, rest) in [
        (
            Reply::Bytes("HTTP/1.1 405 No\r\nX-Varnish: 1\r\nContent-Length: 3\r\n\r\na\nb".into()),
            "HTTP/1.1 405 No",
            "X-Varnish: 1\r\nContent-Length: 3\r\n\r\na\nb",
        ),
        (
            Reply::Bytes("HTTP/1.1 403 -\r\nX-Varnish: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n".into()),
            "HTTP/1.1 403 -",
            "X-Varnish: 1\r\nTransfer-Encoding: chunked\r\n\r\nabcde",
        ),
        (Reply::Last(closed), "HTTP/1.1 400 Bad Request", "\r\nby Varnish itself"),
        (
            Reply::Bytes(format!("HTTP/1.1 405 -\r\nX-Varnish: 1\r\nContent-Length: 5000\r\n\r\n{long}")),
            "HTTP/1.1 405 -",
            &format!("X-Varnish: 1\r\nContent-Length: 5000\r\n\r\n{long}"),
        ),
    ] {
        let (error, _) = failure(PLAIN, reply).await;
        let PurgeError::Refused(refused) = error else { panic!("{error:?}") };
        let expected = Exchange::new(status.as_bytes(), rest.as_bytes());
        assert_eq!(refused.exchange(), Some(&expected));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_purged_is_no_purge() {
    let answer = |status: u16, headers: &str| {
        Reply::Bytes(format!("HTTP/1.1 {status} -\r\n{headers}\r\nContent-Length: 0\r\n\r\n"))
    };
    let (ours, varnish) = ("X-Varnish: 1\r\nX-Purgebus: 1; depth=8", "X-Varnish: 1");
    for (probed, reply, is_refused, cause) in [
        (
            PURGED,
            answer(200, "X-Purgebus: 1; depth=8"),
            false,
            "your VCL passes PURGE to the origin",
        ),
        (PURGED, answer(200, varnish), false, "the VCL has changed"),
        (PURGED, answer(301, ours), false, "answered 301"),
        (PURGED, answer(400, "Server: Varnish"), true, "answered 400"),
        (PURGED, answer(403, varnish), true, "answered 403"),
        (PURGED, answer(405, varnish), true, "answered 405"),
        (PURGED, answer(403, "Server: origin"), false, "your VCL passes PURGE to the origin"),
        (PURGED, answer(404, ours), true, "answered 404"),
        (PURGED, answer(429, varnish), false, "answered 429"),
        (PURGED, answer(500, varnish), false, "answered 500"),
        (PLAIN, answer(200, "Server: origin"), false, "your VCL passes PURGE to the origin"),
        (PLAIN, answer(404, "Server: origin"), false, "your VCL passes PURGE to the origin"),
        (
            PLAIN,
            answer(200, "X-Varnish: 1\r\nAge: 0"),
            false,
            "your VCL passes PURGE to the origin",
        ),
        (PLAIN, answer(302, varnish), false, "answered 302"),
    ] {
        let (error, said) = failure(probed, reply.clone()).await;
        assert_eq!(matches!(error, PurgeError::Refused(_)), is_refused, "{reply:?}: {error:?}");
        assert!(said.starts_with(cause), "{reply:?}: {said}");
    }
}

#[tokio::test]
async fn it_waits_as_long_as_the_cache_asks() {
    let busy = "HTTP/1.1 503 Busy\r\nX-Varnish: 1\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
    let (error, _) = failure(PURGED, Reply::Bytes(busy.into())).await;
    assert!(
        matches!(error, PurgeError::Unavailable { after: Some(wait), .. } if wait.as_secs() == 7)
    );
}

#[tokio::test]
async fn one_failure_within_a_batch_fails_it() {
    for (answers, is_refused) in
        [([200, 403, 200], true), ([403, 200, 503], false), ([200, 200, 503], false)]
    {
        let fake = Fake::start(PURGED, move |at| {
            Reply::Bytes(PURGED.replace("200", &answers[at].to_string()))
        })
        .await;
        let error = fake.driver().purge(&batch(3)).await.unwrap_err();
        assert_eq!(matches!(error, PurgeError::Refused(_)), is_refused, "{answers:?}");
    }
}

#[tokio::test]
async fn a_soft_purge_makes_up_for_no_hard_one_that_failed_beside_it() {
    let failing = PURGED.replace("200", "503");
    for lost in [Reply::Bytes(failing.clone()), Reply::Last(failing.clone())] {
        let fake = Fake::start(PURGED, move |at| match at {
            0 => lost.clone(),
            _ => Reply::Bytes(PURGED.into()),
        })
        .await;
        let driver = fake.driver();
        let mut both = batch(1);
        both.purges.insert(0, Purge { mode: Mode::Soft, ..both.purges[0].clone() });
        let error = driver.purge(&both).await.unwrap_err();
        assert!(matches!(error, PurgeError::Unavailable { .. }), "{error:?}");
        fake.heard.lock().clear();
        driver.purge(&both).await.unwrap();
        let repeated = fake.heard.lock().iter().any(|purge| purge.contains("X-Purgebus-Hard: u:"));
        assert!(repeated, "{:?}", fake.heard.lock());
    }
}

#[tokio::test]
async fn what_a_closing_server_left_unanswered_is_sent_once_more() {
    let fake = Fake::start(PURGED, |at| match at {
        2 => Reply::Last(PURGED.into()),
        _ => Reply::Bytes(PURGED.into()),
    })
    .await;
    let driver = fake.driver();
    driver.abilities().await.unwrap();
    driver.purge(&batch(5)).await.unwrap();
    assert_eq!(fake.connections.load(Ordering::SeqCst), 2);
    assert_eq!(fake.purges.load(Ordering::SeqCst), 5, "what was answered is not repeated");
}

#[tokio::test]
async fn a_server_that_keeps_closing_is_not_asked_for_ever() {
    let fake = Fake::start(PURGED, |_| Reply::Last(PURGED.into())).await;
    let driver = fake.driver();
    driver.abilities().await.unwrap();
    let error = driver.purge(&batch(5)).await.unwrap_err();
    assert!(matches!(error, PurgeError::Unavailable { .. }), "{error:?}");
    assert_eq!(fake.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_idle_connection_closed_by_the_server_costs_nothing() {
    let fake = Fake::start(PURGED, |_| Reply::Last(PURGED.into())).await;
    let driver = fake.driver();
    for _ in 0..5 {
        driver.purge(&batch(1)).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_nobody_asked_for_answers_no_later_purge() {
    // Several times, for whether reading or writing comes first is left to chance.
    for _ in 0..10 {
        let fake = Fake::start(PURGED, |at| match at {
            0 => Reply::Bytes(PURGED.repeat(2)),
            _ => Reply::Bytes(PURGED.replace("200", "503")),
        })
        .await;
        let driver = fake.driver();
        driver.purge(&batch(1)).await.unwrap();
        driver.purge(&batch(1)).await.unwrap_err();
    }
}

#[tokio::test]
async fn answers_given_before_their_requests_count_for_nothing() {
    let fake = Fake::start(PURGED, |_| Reply::Deaf(PURGED.repeat(1_000))).await;
    let driver = fake.driver();
    driver.abilities().await.unwrap();
    driver.purge(&batch(1_000)).await.unwrap_err();
}

#[tokio::test]
async fn many_calls_share_few_connections() {
    let fake = Fake::start(PURGED, |_| Reply::Slowly(PURGED.into(), Duration::ZERO)).await;
    let driver = fake.driver();
    driver.abilities().await.unwrap();
    let (one, calls) = (batch(1), 16);
    for purged in join_all((0..calls).map(|_| driver.purge(&one))).await {
        purged.unwrap();
    }
    assert_eq!(fake.most_at_once.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_fence_is_raised_before_the_purge_and_only_by_a_vcl_that_has_one() {
    const FENCING: &str = "HTTP/1.1 200 Purged\r\nX-Varnish: 7\r\nX-Purgebus: 1; depth=8; soft; fence\r\nContent-Length: 0\r\n\r\n";
    for (probed, expected) in [(FENCING, 2), (PURGED, 1)] {
        let fake = Fake::start(probed, move |_| Reply::Bytes(probed.into())).await;
        fake.driver_with("").purge(&batch(1)).await.unwrap();
        let heard = fake.heard.lock().clone();
        assert_eq!(heard.len(), expected, "{heard:?}");
        assert!(heard[expected - 1].contains("X-Purgebus-Hard: u:www.example.com/0"));
        let fence = heard[0].contains("X-Purgebus-Fence: www.example.com\r\n");
        assert_eq!(fence, expected == 2, "{heard:?}");
    }
    let fake =
        Fake::start(FENCING, |at| Reply::Bytes(FENCING.replace("200", ["503", "200"][at]))).await;
    fake.driver_with("").purge(&batch(1)).await.expect_err("a fence that failed fails the batch");
}

#[tokio::test]
async fn an_answer_of_another_cache_is_no_purge_of_this_one() {
    let (error, said) = failure(PURGED, Reply::Bytes(PURGED.replace("a/1", "b/2"))).await;
    assert!(matches!(error, PurgeError::Unavailable { .. }), "{error:?}");
    assert_eq!(said, "another cache answers than before: b/2, not a/1");
}

#[tokio::test]
async fn an_instance_in_which_nothing_is_to_be_purged_is_left_alone() {
    let one = Fake::start(PURGED, |_| Reply::Bytes(PURGED.into())).await;
    let other = Fake::start(PURGED, |_| Reply::Bytes(PURGED.into())).await;
    let driver =
        driver_of(&format!("urls = ['http://{}', 'http://{}']", one.address, other.address));
    let everything = Purge::new("main".parse().unwrap(), Selector::Everything, Mode::Hard);
    let part = Some(format!("instance={}", other.address).into());
    driver.purge(&Batch { purges: vec![Purge { part, ..everything }] }).await.unwrap();
    assert_eq!((one.heard.lock().len(), other.heard.lock().len()), (0, 1));
}
