//! RFC 9111 as clients see it.

use reqwest::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use tests::servers::origin::{Origin, Page, VARIANT};

use super::world::{Edge, WWW, seen};

const A: &str = "www.example.com/a";

async fn edge_with(page: Page) -> (Origin, Edge) {
    let origin = Origin::start().await;
    origin.publish(A, page);
    let edge = Edge::before(origin.address()).await;
    (origin, edge)
}

fn tagged(cache_control: &'static str) -> Page {
    Page { cache_control, tags: vec!["t".into()], ..Page::default() }
}

#[tokio::test]
async fn a_fresh_page_is_given_again_and_again_without_the_origin() {
    let (origin, edge) = edge_with(tagged("max-age=3600")).await;
    let first = edge.get(A).await;
    assert_eq!(first.cache_status, "purgebus-edge; fwd=uri-miss; fwd-status=200; stored");
    origin.publish(A, Page::default());
    for spelling in [A, "www.example.com/%61", "WWW.example.com:80/a"] {
        let response = edge.request(Method::GET, spelling).send().await.unwrap();
        let again = seen(&response);
        assert_eq!((again.status, again.version), (StatusCode::OK, Some(1)), "{spelling}");
        assert!(again.cache_status.starts_with("purgebus-edge; hit; ttl=3"), "{again:?}");
        assert!(response.headers().contains_key(AGE));
        assert!(!response.headers().contains_key("surrogate-key"), "tags are for caches");
        assert_eq!(response.text().await.unwrap(), "www.example.com/a version 1\n");
    }
    assert_eq!(origin.requests(&Method::GET, A), 1);
}

#[tokio::test]
async fn a_stale_page_is_revalidated_and_its_body_given_again() {
    let (origin, edge) = edge_with(Page { ..tagged("max-age=0") }).await;
    edge.get(A).await;
    let response = edge.request(Method::GET, A).send().await.unwrap();
    let again = seen(&response);
    assert_eq!((again.status, again.version), (StatusCode::OK, Some(1)));
    assert_eq!(again.cache_status, "purgebus-edge; fwd=stale; fwd-status=304; stored");
    assert_eq!(response.text().await.unwrap(), "www.example.com/a version 1\n");

    origin.publish(A, Page { ..tagged("max-age=3600") });
    let changed = edge.get(A).await;
    assert_eq!(changed.version, Some(2));
    assert_eq!(changed.cache_status, "purgebus-edge; fwd=stale; fwd-status=200; stored");
    assert_eq!(edge.peek(A).await.version, Some(2));
}

#[tokio::test]
async fn a_page_that_was_revalidated_is_still_purged_by_its_tags() {
    let (_origin, edge) = edge_with(Page { ..tagged("max-age=3600") }).await;
    edge.get(A).await;
    let again = edge.get_with(A, (CACHE_CONTROL.as_str(), "no-cache")).await;
    assert_eq!(again.cache_status, "purgebus-edge; fwd=request; fwd-status=304; stored");
    let selector = schemas::Selector::Tag("t".parse().unwrap());
    let site = "main".parse().unwrap();
    let purge = agent::driver::Purge::new(site, selector, schemas::Mode::Hard);
    edge.driver().purge(&agent::driver::Batch { purges: vec![purge] }).await.unwrap();
    assert_eq!(edge.peek(A).await.status, StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn each_variant_is_stored_by_itself() {
    let (origin, edge) = edge_with(Page { varies: true, ..Page::default() }).await;
    for (variant, reason) in [("de", "uri-miss"), ("fr", "vary-miss")] {
        let first = edge.get_with(A, (VARIANT, variant)).await;
        assert!(first.cache_status.contains(&format!("fwd={reason}; ")), "{first:?}");
        let again = edge.get_with(A, (VARIANT, variant)).await;
        assert!(again.cache_status.contains("; hit; "), "{again:?}");
    }
    assert_eq!(origin.requests(&Method::GET, A), 2);
}

#[tokio::test]
async fn the_latest_answer_counts_when_a_page_varies_no_more() {
    let (origin, edge) = edge_with(Page { varies: true, ..Page::default() }).await;
    edge.get_with(A, (VARIANT, "de")).await;
    origin.publish(A, Page::default());
    edge.get_with(A, (VARIANT, "fr")).await;
    assert_eq!(edge.get_with(A, (VARIANT, "de")).await.version, Some(2));
}

#[tokio::test]
async fn what_the_origin_keeps_to_itself_is_never_stored() {
    let headers = vec![("set-cookie", "session=1".to_owned())];
    for page in [
        tagged("no-store"),
        tagged("No-Store"),
        tagged("private, max-age=60"),
        Page { headers, ..tagged("max-age=60") },
        Page { status: StatusCode::INTERNAL_SERVER_ERROR, ..tagged("max-age=60") },
    ] {
        let (origin, edge) = edge_with(page.clone()).await;
        for _ in 0..2 {
            let seen = edge.get(A).await;
            assert!(seen.cache_status.contains("; fwd=uri-miss; "), "{page:?}: {seen:?}");
            assert!(!seen.cache_status.contains("stored"), "{page:?}: {seen:?}");
        }
        assert_eq!(origin.requests(&Method::GET, A), 2, "{page:?}");
    }
}

#[tokio::test]
async fn what_was_asked_with_a_password_is_stored_only_if_public() {
    for (cache_control, stored) in [("max-age=60", false), ("public, max-age=60", true)] {
        let (_origin, edge) = edge_with(tagged(cache_control)).await;
        let seen = edge.get_with(A, ("authorization", "Basic YTpi")).await;
        assert_eq!(seen.cache_status.ends_with("; stored"), stored, "{seen:?}");
    }
}

#[tokio::test]
async fn head_is_answered_from_a_stored_page_and_stores_none() {
    let (origin, edge) = edge_with(Page::default()).await;
    let head = || async { edge.request(Method::HEAD, A).send().await.unwrap() };
    assert_eq!(seen(&head().await).cache_status, "purgebus-edge; fwd=uri-miss; fwd-status=200");
    edge.get(A).await;
    let response = head().await;
    assert!(seen(&response).cache_status.contains("; hit; "), "{response:?}");
    assert_eq!(response.headers()[CONTENT_LENGTH], "28");
    assert_eq!(origin.requests(&Method::HEAD, A), 1);
    assert_eq!(origin.requests(&Method::GET, A), 1);
}

#[tokio::test]
async fn a_client_that_knows_the_page_is_told_so() {
    let (origin, edge) = edge_with(Page::default()).await;
    for _ in ["from the origin", "from the cache"] {
        let known = edge.get_with(A, (IF_NONE_MATCH.as_str(), "\"1\"")).await;
        assert_eq!(known.status, StatusCode::NOT_MODIFIED);
        let other = edge.get_with(A, (IF_NONE_MATCH.as_str(), "\"0\"")).await;
        assert_eq!(other.status, StatusCode::OK);
    }
    assert_eq!(origin.requests(&Method::GET, A), 1);
}

#[tokio::test]
async fn a_client_may_ask_for_the_origins_word() {
    let (origin, edge) = edge_with(Page::default()).await;
    edge.get(A).await;
    origin.publish(A, Page::default());
    let fresh = edge.get_with(A, (CACHE_CONTROL.as_str(), "No-Cache")).await;
    assert_eq!(fresh.version, Some(2));
    assert_eq!(fresh.cache_status, "purgebus-edge; fwd=request; fwd-status=200; stored");
    assert_eq!(edge.get(A).await.version, Some(2), "the earlier answer is replaced");
}

#[tokio::test]
async fn a_change_passes_through_and_ends_the_stored_page() {
    let (origin, edge) = edge_with(Page::default()).await;
    for (answer, remains) in [
        (StatusCode::METHOD_NOT_ALLOWED, StatusCode::OK),
        (StatusCode::OK, StatusCode::GATEWAY_TIMEOUT),
    ] {
        edge.get(A).await;
        origin.answer_purges(answer);
        let response = edge.request(Method::POST, A).body("x").send().await.unwrap();
        assert_eq!(seen(&response).status, answer);
        assert!(seen(&response).cache_status.contains("fwd=method"), "{response:?}");
        assert_eq!(edge.peek(A).await.status, remains, "after {answer}");
    }
}

#[tokio::test]
async fn what_no_purge_could_name_passes_through_unstored() {
    let origin = Origin::start().await;
    origin.publish_others(Page::default());
    let edge = Edge::before(origin.address()).await;
    let long = format!("{WWW}/{}", "l".repeat(2_048));
    for url in ["stranger.example.org/a", "www.example.com/a%00", &long] {
        for _ in 0..2 {
            let seen = edge.get(url).await;
            assert_eq!(seen.status, StatusCode::OK, "{url}");
            assert_eq!(seen.cache_status, "purgebus-edge; fwd=bypass; fwd-status=200", "{url}");
        }
        assert_eq!(origin.requests(&Method::GET, url), 2, "{url}");
    }
}
