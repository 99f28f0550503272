//! A real Varnish and a real Redis in each region.

use serde_json::Value;

use crate::show::Show;

#[tokio::test]
async fn real_servers_lose_nothing_and_keep_nothing_old() {
    let mut show = Show::start(&["--with", "varnish,redis", "--seconds", "5", "--json"]);
    let ended = show.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let verdict: Value = serde_json::from_str(&ended.output).expect("one JSON document");
    assert_eq!((&verdict["lost"], &verdict["stale_after_final"]), (&0.into(), &0.into()));
    assert!(verdict["changes"].as_u64() >= Some(10), "{verdict:#}");

    let places = verdict["places"].as_array().expect("places");
    let name = |place: &Value| format!("{} {}", place["place"], place["cache"]).replace('"', "");
    let named: Vec<_> = places.iter().map(name).collect();
    let region = |region: &str| {
        ["edge-1", "edge-2", "redis", "varnish"].map(|cache| format!("{region} {cache}"))
    };
    assert_eq!(named, [region("eu-west"), region("us-east")].concat());
    for place in places {
        assert_eq!(place["purged"], verdict["changes"], "every cache has its part: {place}");
        assert!(place["reads_checked"].as_u64() >= Some(10), "{place}");
    }
    assert_eq!((show.servers(), show.leavings()), (Vec::new(), Vec::new()));
}
