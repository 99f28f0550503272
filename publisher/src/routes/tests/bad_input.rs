//! Every kind of bad input: its pointer, its detail, and nothing stored.

use serde_json::{Value, json};

use super::api::Api;

/// What is sent, and all that is told of it.
type Case = (Value, &'static [(&'static str, &'static str)]);

fn selectors() -> Vec<Case> {
    let long_path = format!("https://www.example.com/{}", "p".repeat(2_048));
    vec![
        (
            json!({}),
            &[
                ("", "names nothing to purge; give urls, prefixes, tags, keys or everything"),
                ("/site", "is needed: no url or prefix tells which site is meant"),
            ],
        ),
        (
            json!({"site": "main"}),
            &[("", "names nothing to purge; give urls, prefixes, tags, keys or everything")],
        ),
        (
            json!({"urls": ["https://www.example.com/ok", "/relative", "ftp://www.example.com/"]}),
            &[
                ("/urls/1", "url is not absolute; write https://host/path"),
                ("/urls/2", "url is neither http nor https"),
            ],
        ),
        (
            json!({"urls": [long_path]}),
            &[
                (
                    "/urls/0",
                    "path is 2049 bytes long; give at most 2048, or purge a prefix or a tag",
                ),
                ("/site", "is needed: no url or prefix tells which site is meant"),
            ],
        ),
        (
            json!({"site": "main", "tags": ["", "a b", "a,b", "t".repeat(257), "\u{0}", "a\r\nb", "é"]}),
            &[
                ("/tags/0", "tag is 0 bytes long; give 1 to 256"),
                ("/tags/1", "tag holds ' ' at byte 1; give printable ASCII without space"),
                ("/tags/2", "tag holds a comma, double quote or backslash at byte 1; leave it out"),
                ("/tags/3", "tag is 257 bytes long; give 1 to 256"),
                ("/tags/4", "tag holds '\\0' at byte 0; give printable ASCII without space"),
                ("/tags/5", "tag holds '\\r' at byte 1; give printable ASCII without space"),
                ("/tags/6", "tag holds 'é' at byte 0; give printable ASCII without space"),
            ],
        ),
        (
            json!({"site": "main", "keys": ["user:1", "a b"]}),
            &[("/keys/1", "key holds ' ' at byte 1; give printable ASCII without space")],
        ),
        (
            json!({"prefixes": ["https://www.example.com/a?b"]}),
            &[("/prefixes/0", "has a query; a prefix ends with its path, and covers every query")],
        ),
        (
            json!({"urls": [{"url": "https://www.example.com/a?b", "query": "any"}]}),
            &[("/urls/0", "has a query though any query is meant; leave out '?' and what follows")],
        ),
        (
            json!({"site": "main", "tags": vec!["t"; 65]}),
            &[("/tags", "holds 65 tags; give at most 64 in a request")],
        ),
        (
            json!({"site": "main", "keys": vec!["k"; 1_001]}),
            &[("", "holds 1001 selectors; give at most 1000 in a request")],
        ),
    ]
}

fn sites_and_regions() -> Vec<Case> {
    vec![
        (
            json!({"tags": ["t"]}),
            &[("/site", "is needed: no url or prefix tells which site is meant")],
        ),
        (json!({"site": "nope", "tags": ["t"]}), &[("/site", "there is no site nope")]),
        (
            json!({"site": "No", "tags": ["t"]}),
            &[(
                "/site",
                "site may hold a-z, 0-9, '-', '_' and '.', and starts with a letter or a digit",
            )],
        ),
        (
            json!({"urls": ["https://other.example.com/"]}),
            &[("/urls/0", "host other.example.com belongs to no site; add it to the hosts of one")],
        ),
        (
            json!({"urls": ["https://www.example.com/", "https://other.example.com/"]}),
            &[("/urls/1", "host other.example.com belongs to no site; add it to the hosts of one")],
        ),
        (
            json!({"urls": ["https://www.example.com/"], "prefixes": ["https://shop.example.com/"]}),
            &[(
                "/prefixes/0",
                "host shop.example.com is of the site shop, the request of main; send one for each site",
            )],
        ),
        (
            json!({"site": "shop", "urls": ["https://www.example.com/"]}),
            &[(
                "/urls/0",
                "host www.example.com is of the site main, the request of shop; send one for each site",
            )],
        ),
        (
            json!({"site": "main", "tags": ["t"], "regions": ["eu-west", "mars", "A B"]}),
            &[
                (
                    "/regions/1",
                    "there is no region mars with this site; give some of: eu-west, us-east",
                ),
                (
                    "/regions/2",
                    "region may hold a-z, 0-9, '-', '_' and '.', and starts with a letter or a digit",
                ),
            ],
        ),
        (
            json!({"site": "shop", "tags": ["t"], "regions": ["mars"]}),
            &[(
                "/regions/0",
                "there is no region mars with this site; give some of: eu-west, us-east",
            )],
        ),
        (
            json!({"site": "main", "tags": ["t"], "regions": []}),
            &[("/regions", "names none; leave it out for all regions of the site")],
        ),
        (
            json!({"site": "main", "everything": true}),
            &[("/confirm", "everything empties the whole site; write \"confirm\": \"main\" too")],
        ),
        (
            json!({"site": "main", "everything": true, "confirm": "shop"}),
            &[("/confirm", "everything empties the whole site; write \"confirm\": \"main\" too")],
        ),
    ]
}

fn words() -> Vec<Case> {
    let good = |field: &str, value: Value| json!({"site": "main", "tags": ["t"], field: value});
    let many: serde_json::Map<_, _> =
        (0..17).map(|label| (format!("l{label}"), "v".into())).collect();
    vec![
        (
            good("expires_in", json!("soon")),
            &[(
                "/expires_in",
                "is not a duration such as \"90s\" or \"24h\": expected number at 0",
            )],
        ),
        (
            good("expires_in", json!("0s")),
            &[("/expires_in", "is no time at all; leave it out for no expiry")],
        ),
        (
            good("expires_in", json!("366days")),
            &[("/expires_in", "is longer than 365 days; leave it out for no expiry")],
        ),
        (
            good("reason", json!("r".repeat(513))),
            &[("/reason", "is 513 bytes long; give at most 512")],
        ),
        (
            good("reason", json!("a\u{1b}[31m")),
            &[("/reason", "holds '\\u{1b}' at byte 1; leave out control characters")],
        ),
        (good("labels", Value::Object(many)), &[("/labels", "holds 17 labels; give at most 16")]),
        (
            good("labels", json!({"a b": "v", "ok/x": "a\nb"})),
            &[
                ("/labels/a b", "a label's name is 1 to 63 letters, digits, '-', '_', '.' and '/'"),
                ("/labels/ok~1x", "holds '\\n' at byte 1; leave out control characters"),
            ],
        ),
        (
            good("after", json!({"postgres_lsn": "0/3015FF0"})),
            &[("/after", "waiting for a replica is not in this build yet; leave it out")],
        ),
    ]
}

fn shapes() -> Vec<Case> {
    vec![
        (json!([]), &[("", "is an array; give an object")]),
        (
            json!({"site": "main", "tag": ["t"], "zzz~/": 1, "tags": ["a b"]}),
            &[
                ("/tag", "is not a field of a request; did you mean \"tags\"?"),
                (
                    "/zzz~0~1",
                    "is not a field of a request; there are site, urls, prefixes, tags, keys, \
                everything, confirm, mode, priority, regions, after, expires_in, reason, labels",
                ),
                ("/tags/0", "tag holds ' ' at byte 1; give printable ASCII without space"),
            ],
        ),
        (
            json!({"site": 7, "tags": "t", "urls": [1, {"url": "https://www.example.com/", "query": "all"}, "/x"]}),
            &[
                ("/site", "is 7; give a string"),
                ("/urls/0", "is 1; give a URL"),
                ("/urls/1", "is not {\"url\": \"https://...\", \"query\": \"any\" or \"exact\"}"),
                ("/tags", "is \"t\"; give an array of strings"),
                ("/urls/2", "url is not absolute; write https://host/path"),
            ],
        ),
        (
            json!({"site": "main", "tags": ["t", 1, null], "mode": "hot", "priority": "high",
                "everything": "yes", "labels": {"a": 1}, "regions": "eu-west"}),
            &[
                ("/tags/1", "is 1; give a string"),
                ("/tags/2", "is null; give a string"),
                ("/everything", "is \"yes\"; give true or false"),
                ("/mode", "is \"hot\"; give \"hard\" or \"soft\""),
                ("/priority", "is \"high\"; give \"normal\" or \"critical\""),
                ("/regions", "is \"eu-west\"; give an array of strings"),
                (
                    "/labels",
                    "is an object; give an object of strings such as {\"cms\": \"wagtail\"}",
                ),
            ],
        ),
    ]
}

#[tokio::test]
async fn every_mistake_is_told_with_its_place_and_nothing_is_stored() {
    let api = Api::start().await;
    for (body, expected) in
        [selectors(), sites_and_regions(), words(), shapes()].into_iter().flatten()
    {
        let answer = api.post(&body).await;
        let told = answer.problem(422, "invalid");
        let told: Vec<_> = told.iter().map(|(at, what)| (at.as_str(), what.as_str())).collect();
        assert_eq!(told, expected, "{body}");
    }
    assert_eq!(api.published().await, []);
    assert!(api.metrics().contains("purgebus_refused_total{reason=\"invalid\"} 34"));
    api.end().await;
}

#[tokio::test]
async fn bytes_that_no_address_may_have_are_refused() {
    let api = Api::start().await;
    for path in
        ["a b", "a\u{0}", "a\r\nHost: x", "a\n", "a%0d%0aX: y", "%00", "%", "%zz", "é", "\u{7f}"]
    {
        let url = format!("https://www.example.com/{path}");
        let answer = api.post(&json!({"site": "main", "urls": [url]})).await;
        let told = answer.problem(422, "invalid");
        assert_eq!(told.len(), 1, "{path:?}: {told:?}");
        assert_eq!(told[0].0, "/urls/0");
    }
    assert_eq!(api.published().await, []);
    api.end().await;
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_with_line_and_column() {
    let api = Api::start().await;
    for (body, told) in [
        (&b"{\n  \"site\": main"[..], "expected value at line 2 column 11"),
        (b"", "EOF while parsing a value at line 1 column 0"),
        (b"{\"site\": \"\xc0\xaf\"}", "invalid unicode code point at line 1 column 11"),
        (&b"[".repeat(1_000), "recursion limit exceeded at line 1 column 128"),
        (b"{} {}", "trailing characters at line 1 column 4"),
    ] {
        let answer = api.send_json("", "", body).await;
        assert_eq!(answer.problem(400, "malformed"), []);
        assert_eq!(answer.json()["detail"], format!("the body is not JSON: {told}"));
    }
    api.end().await;
}

#[tokio::test]
async fn wrong_parameters_are_told_all_at_once() {
    let api = Api::start().await;
    let query = "?wait=done&timeout=3m&dry_run=maybe&waiting=1&dry_run=true";
    let told = api.post_to(query, &super::api::good()).await.problem(400, "malformed");
    let told: Vec<_> = told.iter().map(|(at, what)| (at.as_str(), what.as_str())).collect();
    assert_eq!(
        told,
        [
            ("?waiting", "is not a parameter here; there are wait, timeout, dry_run"),
            ("?dry_run", "is given twice; give it once"),
            ("?dry_run", "cannot be read; give true or false"),
            ("?wait", "is neither applied nor final"),
            ("?timeout", "is longer than 120s; ask again for the progress then"),
        ]
    );
    let told = api.post_to("?timeout=x", &super::api::good()).await.problem(400, "malformed");
    assert_eq!(
        told[0],
        ("?timeout".to_owned(), "cannot be read; give a duration such as 5s".to_owned())
    );
    let told = api.post_to("?timeout=5s", &super::api::good()).await.problem(400, "malformed");
    assert_eq!(told[0].1, "goes with wait only; give wait=applied or wait=final");
    assert_eq!(api.published().await, []);
    api.end().await;
}
