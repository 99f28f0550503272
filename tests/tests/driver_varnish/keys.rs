//! The keys of the shipped VCL.

use axum::http::StatusCode;
use schemas::Selector;
use tests::servers::origin::{Page, VERSION};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::specimen::{House, PEEK, PLAIN, include_shipped, tag, until, url};

#[tokio::test]
async fn a_prefix_below_the_keys_takes_all_it_names_and_more() {
    let house = House::with(&include_shipped()).await;
    for path in ["/1/2/3/4/5/6/7/8/9/10/a", "/1/2/3/4/5/6/7/8/b", "/1/2/3/4/5/6/7/c"] {
        house.cached(path, Page::default()).await;
    }
    let prefix = Selector::Prefix {
        host: "www.example.com".parse().unwrap(),
        path: "/1/2/3/4/5/6/7/8/9/10".parse().unwrap(),
    };
    house.purge([prefix]).await.unwrap();
    assert!(!house.holds("/1/2/3/4/5/6/7/8/9/10/a").await);
    assert!(!house.holds("/1/2/3/4/5/6/7/8/b").await, "purged at the depth of the keys");
    assert!(house.holds("/1/2/3/4/5/6/7/c").await);
}

#[tokio::test]
async fn every_spelling_of_a_url_goes_with_its_canonical_one() {
    let house = House::with(&include_shipped()).await;
    let clients = ["/%7euser/%d0%bf%2f", "/~user/%D0%BF%2F", "/%7Euser/%d0%Bf%2F"];
    for path in clients {
        house.cached(path, Page::default()).await;
    }
    house.cached("/~user/%D0%BF/", Page::default()).await;
    house.purge([url("/~user/%d0%bf%2f")]).await.unwrap();
    for path in clients {
        assert!(!house.holds(path).await, "{path} is still there");
    }
    assert!(house.holds("/~user/%D0%BF/").await, "an encoded slash is no slash");
}

#[tokio::test]
async fn every_spelling_of_a_host_goes_with_its_canonical_one() {
    let as_written = "sub vcl_recv { if (req.method == \"GET\") { return (hash); } }";
    let house = House::with(&(include_shipped() + as_written)).await;
    for host in ["WWW.Example.com", "www.example.com:80", "www.example.com:443", "www.example.com."]
    {
        house.origin.publish(&format!("{host}/a"), Page::default());
        house.get(host, "/a", &[]).await;
        house.purge([url("/a")]).await.unwrap();
        assert_eq!(house.get(host, "/a", &[("x-peek", "1")]).await.status(), 504, "{host}");
    }
}

#[tokio::test]
async fn keys_are_those_of_the_address_asked_for_whatever_the_backend_is_told() {
    let rewriting = "
        sub vcl_backend_fetch { set bereq.url = \"/app\" + bereq.url; set bereq.http.host = \"inner\"; }
        sub vcl_backend_response { if (bereq.retries == 0) { return (retry); } }";
    let house = House::with(&(include_shipped() + rewriting)).await;
    house.origin.publish_others(Page::default());
    for path in ["/a,b", "/a"] {
        house.cached(path, Page::default()).await;
    }
    house.purge([url("/a,b")]).await.unwrap();
    assert!(!house.holds("/a,b").await);
    assert!(house.holds("/a").await);
}

#[tokio::test]
async fn tags_survive_a_revalidation() {
    let brief = "sub vcl_backend_response { if (bereq.http.x-brief) { set beresp.ttl = 0.01s; set beresp.grace = 0s; set beresp.keep = 1h; } }";
    let house = House::with(&(include_shipped() + brief)).await;
    house.origin.publish("www.example.com/a", Page { tags: vec!["t".into()], ..Page::default() });
    house.get("www.example.com", "/a", &[("x-brief", "1")]).await;
    until(async || !house.holds("/a").await).await;
    let revalidated = house.get("www.example.com", "/a", &[]).await;
    assert_eq!(
        (revalidated.status(), &revalidated.headers()[VERSION]),
        (StatusCode::OK, &"1".parse().unwrap())
    );
    assert!(house.holds("/a").await);
    house.purge([tag("t")]).await.unwrap();
    assert!(!house.holds("/a").await, "its tags were lost");
}

#[tokio::test]
async fn tags_are_read_from_the_headers_that_origins_use_and_survive_revalidations() {
    let brief = "sub vcl_backend_response { set beresp.ttl = 0.01s; set beresp.grace = 0s; set beresp.keep = 1h; }";
    for (name, value, is_hidden) in [
        ("surrogate-key", "one two", true),
        ("x-cache-tags", "one,two", true),
        ("xkey", "one, two", true),
        ("cache-tag", "one,two", false),
    ] {
        let house = House::with(&include_shipped()).await;
        let page = || Page { headers: vec![(name, value.to_owned())], ..Page::default() };
        for wanted in ["one", "two"] {
            house.cached("/a", page()).await;
            house.purge([tag("other")]).await.unwrap();
            let read = house.get("www.example.com", "/a", &[]).await;
            assert_eq!(read.headers().contains_key(name), !is_hidden, "{name}");
            house.purge([tag(wanted)]).await.unwrap();
            assert!(!house.holds("/a").await, "{wanted} in {name}");
        }
        let house = House::with(&(include_shipped() + brief)).await;
        house.origin.publish("www.example.com/a", page());
        for _ in 0..3 {
            house.get("www.example.com", "/a", &[]).await;
            until(async || !house.holds("/a").await).await;
        }
        let lasting = include_shipped();
        house.varnish.load(&(PEEK.to_owned() + &lasting));
        house.get("www.example.com", "/a", &[]).await;
        assert!(house.holds("/a").await);
        for absent in ["s:www.example.com", "u:www.example.com/a"] {
            house.purge([tag(absent)]).await.unwrap();
            assert!(house.holds("/a").await, "our own keys are no tags: {absent}");
        }
        house.purge([tag("two")]).await.unwrap();
        assert!(!house.holds("/a").await, "{name} after revalidations");
    }
}

#[tokio::test]
async fn an_object_stored_before_our_vcl_was_loaded_is_not_served() {
    let house = House::with(PLAIN).await;
    house.cached("/a", Page { headers: vec![("xkey", "own".into())], ..Page::default() }).await;
    house.varnish.load(&(PEEK.to_owned() + &include_shipped()));
    house.origin.publish("www.example.com/a", Page::default());
    assert_eq!(house.get("www.example.com", "/a", &[]).await.headers()[VERSION], "2");
}

#[tokio::test]
async fn what_has_no_room_for_its_keys_is_delivered_but_not_kept() {
    let house = House::with(&include_shipped()).await;
    let many = Page { tags: (0..501).map(|at| format!("t{at}")).collect(), ..Page::default() };
    house.origin.publish("www.example.com/many", many);
    assert_eq!(house.get("www.example.com", "/many", &[]).await.status(), 200);
    assert!(!house.holds("/many").await);
    let most = Page { tags: (0..500).map(|at| format!("t{at}")).collect(), ..Page::default() };
    house.cached("/most", most).await;
    house.purge([tag("t499")]).await.unwrap();
    assert!(!house.holds("/most").await);
}

#[tokio::test]
async fn no_address_makes_an_answer_fail() {
    let house = House::with(&include_shipped()).await;
    for unit in ["%", "%7e", "%aa", ",", "{", "`{^}<,", "%%%,", "x"] {
        for times in [1, 2_000, 7_900].map(|bytes| bytes / unit.len()) {
            for path in [
                format!("/1/2/3/4/5/6/7/8/{}", unit.repeat(times)),
                format!("/{}/2/3/4/5/6/7/8/9/", unit.repeat(times)),
                format!("/{}/2/3/4/5/6/7/8/9?{}", unit.repeat(times / 2), unit.repeat(times / 2)),
            ] {
                let answer = raw(&house, &path).await;
                let status = answer.split(' ').nth(1);
                assert!(matches!(status, Some("404" | "400")), "{path}: {answer}");
            }
        }
    }
}

/// The answer to a GET of exactly these bytes, which no client library would send.
async fn raw(house: &House, path: &str) -> String {
    let mut stream = TcpStream::connect(house.varnish.address()).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
