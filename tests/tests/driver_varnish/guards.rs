//! What looks like a purge but is none, and who may not purge.

use std::fs;

use agent::driver::{Batch, Purge};
use axum::http::{Method, StatusCode};
use schemas::{Ability, Mode, Selector};
use tests::servers::origin::{Page, VERSION};
use tests::servers::varnish::shipped_vcl;

use crate::specimen::{House, PLAIN, include_shipped, tag, told, url};

#[tokio::test]
async fn a_vcl_that_hands_purges_to_the_origin_is_found_out() {
    let pass = "sub vcl_recv { if (req.method == \"PURGE\") { return (pass); } }";
    for vcl in ["", pass] {
        for (status, cacheable) in
            [(200, true), (404, true), (204, true), (200, false), (404, false)]
        {
            let house = House::with(vcl).await;
            house.origin.answer_purges(StatusCode::from_u16(status).unwrap());
            if !cacheable {
                house.origin.publish_others(Page { cache_control: "no-store", ..Page::default() });
            }
            house.cached("/a", Page::default()).await;
            for outcome in [
                house.driver.abilities().await.map(|_| ()),
                house.purge([url("/a")]).await,
                house.driver.probe().await,
            ] {
                let (unavailable, words) = told(outcome);
                assert!(unavailable, "{words}");
                assert!(words.starts_with("your VCL passes PURGE to the origin"), "{words}");
                assert!(words.contains("include \"purgebus.vcl\""), "{words}");
            }
            assert!(house.holds("/a").await);
        }
    }
}

#[tokio::test]
async fn whoever_is_not_allowed_purges_nothing() {
    let shipped = fs::read_to_string(shipped_vcl()).unwrap();
    let elsewhere = shipped.replace("\"127.0.0.0\"/8", "\"192.0.2.0\"/24");
    assert_ne!(shipped, elsewhere);
    let house = House::with(&elsewhere.replace("vcl 4.1;", "")).await;
    house.cached("/a", Page::default()).await;
    for outcome in [
        house.driver.abilities().await.map(|_| ()),
        house.purge([url("/a")]).await,
        house.driver.probe().await,
    ] {
        assert_eq!(told(outcome), (false, "answered 403".to_owned()));
    }
    assert!(house.holds("/a").await);
}

#[tokio::test]
async fn a_client_behind_a_local_proxy_is_not_local() {
    let house = House::with(&include_shipped()).await;
    house.cached("/a", Page::default()).await;
    let purge = Method::from_bytes(b"PURGE").unwrap();
    let keys = ("x-purgebus-hard", "s:www.example.com");
    for proxied in [
        ("x-forwarded-for", "203.0.113.9"),
        ("via", "1.1 front"),
        ("forwarded", "for=203.0.113.9"),
        ("x-real-ip", "203.0.113.9"),
    ] {
        let answer = house.send(purge.clone(), "www.example.com", "/", &[keys, proxied]).await;
        assert_eq!(answer.status(), 403, "{proxied:?}");
    }
    assert!(house.holds("/a").await);
    assert_eq!(house.send(purge, "www.example.com", "/", &[keys]).await.status(), 200);
    assert!(!house.holds("/a").await);
}

#[tokio::test]
async fn an_origin_cannot_choose_keys_of_another_site() {
    let house = House::with(&include_shipped()).await;
    let forged = "s:www.example.net t:www.example.net/t u:www.example.net/a";
    let forging = Page {
        headers: vec![("xkey", forged.to_owned()), ("x-hashtwo", forged.to_owned())],
        tags: forged.split(' ').map(str::to_owned).collect(),
        ..Page::default()
    };
    house.cached("/forging", forging).await;
    house.cached("/a,s:www.example.net,b", Page::default()).await;
    let other = |selector| Purge::new("other".parse().unwrap(), selector, Mode::Hard);
    let purges = vec![other(Selector::Everything), other(tag("t"))];
    house.driver.purge(&Batch { purges }).await.unwrap();
    assert!(house.holds("/forging").await);
    assert!(house.holds("/a,s:www.example.net,b").await);
}

#[tokio::test]
async fn a_client_cannot_purge_or_probe_by_headers_and_sees_no_keys() {
    let house = House::with(&include_shipped()).await;
    house.cached("/a", Page { tags: vec!["t".into()], ..Page::default() }).await;
    for (name, value) in [
        ("x-purgebus-hard", "s:www.example.com"),
        ("x-purgebus-soft", "s:www.example.com"),
        ("x-purgebus-count", "1"),
        ("x-purgebus-probe", "1"),
        ("x-purgebus", "probe"),
        ("xkey", "s:www.example.com"),
    ] {
        let answer = house.get("www.example.com", "/a", &[(name, value)]).await;
        assert_eq!(answer.headers()[VERSION], "1", "{name}");
        let names = answer.headers().keys().map(ToString::to_string).collect::<Vec<_>>();
        for inner in ["xkey", "surrogate-key", "x-purgebus", "x-purgebus-count"] {
            assert!(!names.iter().any(|name| name == inner), "{inner} was delivered");
        }
        assert!(house.holds("/a").await, "{name} purged");
    }
    let made_up =
        house.get("www.example.com", "/b", &[("x-peek", "1"), ("x-purgebus-count", "1")]).await;
    assert!(!made_up.headers().contains_key("x-purgebus"), "only a purge is answered as one");
    let miss = house.get("www.example.com", "/new", &[("x-purgebus-probe", "1")]).await;
    assert_eq!(miss.status(), 404, "the origin answers, not the probe");
}

#[tokio::test]
async fn a_vcl_that_loses_its_keys_is_noticed() {
    let house = House::with(&include_shipped()).await;
    house.purge([tag("t")]).await.unwrap();
    house.varnish.load(PLAIN);
    for words in [
        "the VCL has changed: purgebus.vcl no longer answers",
        "this VCL purges exact urls only, not Tag",
    ] {
        assert_eq!(told(house.purge([tag("t")]).await), (true, words.to_owned()));
    }
    house.purge([url("/a")]).await.unwrap();
    assert_eq!(house.driver.abilities().await.unwrap().tag, Ability::Unsupported);
}
