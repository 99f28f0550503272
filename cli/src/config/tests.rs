//! Whole configurations and what is said about them.

use super::*;

pub(super) const SMALLEST: &str = r#"
[[site]]
hosts = ["www.example.com"]

[[agent.cache]]
name = "edge"
driver = "edge"
url = "http://127.0.0.1:6081"
"#;

/// The smallest configuration with folders that can be had on every machine.
pub(super) fn environment(extra: &[(&str, &str)]) -> Vec<(String, String)> {
    let folders =
        [("PURGEBUS__AGENT__STATE", "/tmp"), ("PURGEBUS__PUBLISHER__JOURNAL", "/tmp/journal")];
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    folders.iter().chain(extra).map(own).collect()
}

fn agent_of(config: &Config) -> &AgentPart {
    config.agent.as_ref().expect("an agent")
}

fn publisher_of(config: &Config) -> &PublisherConfig {
    &config.publisher.as_ref().expect("a publisher").config
}

pub(super) fn mistakes(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    match Config::parse(text, &environment(variables), None) {
        Ok(_) => Vec::new(),
        Err(mistakes) => {
            let told = Mistakes { file: "f".into(), mistakes }.to_string();
            let (told, _count) = told.rsplit_once('\n').expect("a line with the count");
            told.lines().map(str::to_owned).collect()
        }
    }
}

#[test]
fn the_smallest_configuration_is_complete() {
    let config = Config::parse(SMALLEST, &environment(&[]), None).expect("no mistakes");
    assert_eq!(agent_of(&config).config.region.as_str(), "local");
    assert_eq!(config.sites.iter().next().map(|site| site.name.as_str()), Some("main"));
    assert_eq!(agent_of(&config).caches[0].lane, agent::LaneConfig::default());
}

#[test]
fn mistakes_of_every_kind_are_told_at_once_and_in_order() {
    let text = r#"grace = "soon"
[log]
level = loud
[broker]
kind = "kafak"
brokers = ["127.0.0.1:9092"]
[publisher]
listen = "0.0.0.0:8377"
jurnal = "/tmp"
[[site]]
hosts = ["www.example.com", "not a host"]
[agent]
regoin = "eu-west"
[[agent.cache]]
name = "varnish"
driver = "varnsh"
batch = { selectors = 0, wait = 5 }
"#;
    let told = mistakes(text, &[]);
    let starts = [
        "f:1:9: grace: ",
        "f:3:9: ",
        "f:5:8: broker.kind: there is no \"kafak\"; did you mean \"kafka\"?",
        "f:8:1: publisher.listen: anyone",
        "f:9:1: publisher.jurnal: unknown key; did you mean \"journal\"?",
        "f:11:29: site[0].hosts[1]: ",
        "f:13:1: agent.regoin: unknown key; did you mean \"region\"?",
        "f:16:10: agent.cache[0].driver: there is no \"varnsh\"; did you mean \"varnish\"?",
        "f:17:33: agent.cache[0].batch.wait: ",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told:?} does not start with {start:?}");
    }
}

#[test]
fn the_environment_overlays_the_file_down_to_single_caches() {
    let variables = [
        ("PURGEBUS__AGENT__REGION", "eu-west"),
        ("PURGEBUS__AGENT__CACHE__0__WINDOW", "7"),
        ("PURGEBUS__PUBLISHER__ACK_WAIT", "3s"),
        ("PURGEBUS_PORT", "tcp://10.0.0.1:80"),
    ];
    let config = Config::parse(SMALLEST, &environment(&variables), None).expect("no mistakes");
    assert_eq!(agent_of(&config).config.region.as_str(), "eu-west");
    assert_eq!(agent_of(&config).caches[0].lane.window, 7);
    assert_eq!(publisher_of(&config).ack_wait, Duration::from_secs(3));
}

#[test]
fn a_mistaken_variable_is_told_by_its_name() {
    let variables = [
        ("PURGEBUS__AGENT__REGOIN", "eu-west"),
        ("PURGEBUS__AGENT__ADMIN", "nowhere"),
        ("PURGEBUS__AGENT__CACHE__3__URL", "http://127.0.0.1"),
    ];
    let told = mistakes(SMALLEST, &variables);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("PURGEBUS__AGENT__ADMIN: agent.admin: "), "{told:#?}");
    assert!(told[1].contains("names no item of \"cache\", of which the file has 1"), "{told:#?}");
    assert!(told[2].ends_with("unknown key; did you mean \"region\"?"), "{told:#?}");
}

#[test]
fn a_value_that_a_variable_replaced_is_told_by_the_variable() {
    let text = format!("[publisher]\nlisten = \"127.0.0.1:8377\"\n{SMALLEST}");
    let told = mistakes(&text, &[("PURGEBUS__PUBLISHER__LISTEN", "0.0.0.0:8377")]);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].starts_with("PURGEBUS__PUBLISHER__LISTEN: publisher.listen: "), "{told:#?}");
}

#[test]
fn sites_that_contradict_each_other_are_told() {
    let text =
        format!("{SMALLEST}[[site]]\nhosts = [\"www.example.com\"]\n[[site]]\nname = \"empty\"\n");
    let told = mistakes(&text, &[]);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told.iter().any(|told| told.contains("site[1].name: site[0] has the name \"main\"")));
    assert!(told.iter().any(|told| told.contains("site[1].hosts: names www.example.com twice")
        || told.contains("www.example.com belongs to")));
    assert!(told.iter().any(|told| told.contains("site[2].hosts: there is none")));
}

/// Caches of these names, each after the other.
fn ordered(caches: &[(&str, &str)]) -> String {
    let cache = |(name, after): &(&str, &str)| {
        format!(
            "[[agent.cache]]\nname = \"{name}\"\nafter = \"{after}\"\ndriver = \"edge\"\n\
             url = \"http://127.0.0.1:6081\"\n"
        )
    };
    caches.iter().map(cache).fold(SMALLEST.to_owned(), |text, cache| text + &cache)
}

#[test]
fn an_order_that_cannot_be_followed_is_told() {
    let told = mistakes(&ordered(&[("a", "b"), ("b", "c"), ("c", "a")]), &[]);
    assert_eq!(told, ["f:11:1: agent.cache[1].after: goes in a circle: a after b after c after a"]);
    let told = mistakes(&ordered(&[("a", "a"), ("b", "egde")]), &[]);
    assert!(told[0].contains("a cache cannot come after itself"), "{told:#?}");
    assert!(told[1].contains("there is no cache \"egde\"; did you mean \"edge\"?"), "{told:#?}");
    assert_eq!(mistakes(&ordered(&[("a", "b"), ("b", "edge")]), &[]), Vec::<String>::new());
}

#[test]
fn a_tail_that_leads_into_a_circle_is_not_part_of_it() {
    let told = mistakes(&ordered(&[("a", "b"), ("b", "c"), ("c", "b")]), &[]);
    assert_eq!(told, ["f:16:1: agent.cache[2].after: goes in a circle: b after c after b"]);
}

#[test]
fn ports_may_be_shared_by_the_two_admin_servers_only() {
    let equal = [("PURGEBUS__AGENT__ADMIN", "127.0.0.1:8376")];
    assert_eq!(mistakes(SMALLEST, &equal), Vec::<String>::new());
    for admin in ["127.0.0.1:8377", "0.0.0.0:8376", "0.0.0.0:8377"] {
        let told = mistakes(SMALLEST, &[("PURGEBUS__AGENT__ADMIN", admin)]);
        assert_eq!(told.len(), 1, "{admin}: {told:#?}");
    }
}

#[test]
fn a_folder_below_a_file_is_told() {
    let told = mistakes(SMALLEST, &[("PURGEBUS__AGENT__STATE", "/etc/hostname/below")]);
    assert!(
        told[0].starts_with("PURGEBUS__AGENT__STATE: agent.state: cannot write to"),
        "{told:#?}"
    );
}

#[test]
fn the_log_and_the_journal_share_one_folder() {
    let told = mistakes(SMALLEST, &[("PURGEBUS__BROKER__DIR", "/var/tmp")]);
    assert!(told[0].contains("share one database"), "{told:#?}");
    let only_dir: Vec<_> = environment(&[("PURGEBUS__BROKER__DIR", "/var/tmp")])
        .into_iter()
        .filter(|(name, _)| name != "PURGEBUS__PUBLISHER__JOURNAL")
        .collect();
    let config = Config::parse(SMALLEST, &only_dir, None).expect("no mistakes");
    assert_eq!(publisher_of(&config).journal, Path::new("/var/tmp"));
}

#[test]
fn a_cache_without_anything_tells_all_that_is_missing() {
    let told = mistakes(&format!("{SMALLEST}[[agent.cache]]\nwindow = 0\n"), &[]);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].starts_with("f:9:1: agent.cache[1].driver: is missing"), "{told:#?}");
    assert!(told[1].starts_with("f:9:1: agent.cache[1].name: is missing"), "{told:#?}");
}

#[test]
fn what_a_driver_says_about_its_table_is_told_at_its_keys() {
    let redis = "[[agent.cache]]\nname = \"redis\"\ndriver = \"redis\"\nurl = \"http://h\"\n\
                 keys = { url = \"u:{pth}\", tag = \"t:{tag}\" }\ntimeout = \"0s\"\n";
    let told = mistakes(&format!("{SMALLEST}{redis}"), &[]);
    let starts = [
        "f:12:1: agent.cache[1].url: ",
        "f:13:10: agent.cache[1].keys.url: ",
        "f:14:1: agent.cache[1].timeout: ",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told:?} does not start with {start:?}");
    }
}

#[test]
fn a_cache_that_lacks_all_of_its_driver_tells_all_of_it() {
    let redis = "[[agent.cache]]\nname = \"redis\"\ndriver = \"redis\"\n";
    let told = mistakes(&format!("{SMALLEST}{redis}"), &[]);
    let missing =
        ["f:9:1: agent.cache[1]: \"keys\" is missing", "f:9:1: agent.cache[1]: \"url\" is missing"];
    assert_eq!(told, missing);
}

#[test]
fn an_empty_file_tells_what_is_missing() {
    let told = mistakes("", &[]);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told.iter().any(|told| told.contains("add [[site]] with hosts")));
    assert!(told.iter().any(|told| told.contains("add [[agent.cache]]")));
}
