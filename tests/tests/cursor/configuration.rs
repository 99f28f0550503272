//! A configuration that has more than the cursor knows is flushed for what is new, and for nothing else.

use crate::store::{KEYS, MAIN, Store, file};

const SHOP: &str = "[[site]]\nname = \"shop\"\nhosts = [\"shop.example.com\"]\n";

#[tokio::test]
async fn what_a_configuration_adds_is_flushed_and_nothing_else() {
    let mut store = Store::start().await;
    let both = format!("{MAIN}{SHOP}");
    let with = |more: &str| KEYS.replace(" }", &format!(", {more} }}"));
    let pages = with("url = \"page:{host}{path}\"");
    let html = with("url = \"html:{host}{path}\"");
    let sets = with("url = \"html:{host}{path}\", tag_set = \"tags:{site}:{tag}\"");
    let all = ["html:www.example.com/", "main:a", "page:www.example.com/", "shop:a"];

    for (what, sites, region, keys, left) in [
        ("nothing is new", MAIN, "local", KEYS, &all[..]),
        ("a site", both.as_str(), "local", KEYS, &all[..3]),
        ("nothing is new any more", both.as_str(), "local", KEYS, &all[..]),
        ("a site goes", MAIN, "local", KEYS, &all[..]),
        ("and comes back", both.as_str(), "local", KEYS, &all[..3]),
        ("another region", both.as_str(), "eu-west", KEYS, &[all[0], all[2]]),
        ("a template", both.as_str(), "eu-west", &pages, &[all[0], all[1], all[3]]),
        ("another in its place", both.as_str(), "eu-west", &html, &all[1..]),
        ("sets, which may name any key", both.as_str(), "eu-west", &sets, &all[2..3]),
        ("templates go", both.as_str(), "eu-west", KEYS, &all[..]),
    ] {
        store.process.terminate().await;
        store.fill(&all).await;
        store.process.configure(file(&store.redis, sites, region, keys));
        store.process.restart().await;
        store.process.ready().await;
        let flushed = u64::from(left.len() < all.len());
        assert_eq!(store.flushes("configuration").await, flushed, "{what}");
        assert_eq!(store.flushes("no_cursor").await, 0, "{what}");
        store.holds_nothing_stale(left).await;
        store.passes_are_over().await;
    }
}
