//! One Redis that several agents purge: what one of them has flushed the others do not flush again, and nobody relies on
//! one that is dead.

use redis::cmd;
use serde_json::json;
use tests::bus::{Bus, Wire};
use tests::eventually;
use tests::serve::Settings;
use tests::servers::nats::Nats;
use tests::servers::redis::Redis;

const AGENTS: [&str; 2] = ["edge-1", "edge-2"];
const LANES: [&str; 2] = ["normal", "critical"];
const KEY: &str = "key = \"{site}:{key}\"";
const SHARED: &str =
    "shared = true\nstarts_empty = true\nrebounds = [\"300ms\"]\nflush_spread = \"0s\"\n";
const VALUE: &str = "main:value";
const PAGE: &str = "page:www.example.com/";

async fn holds(redis: &Redis, key: &str) -> bool {
    cmd("EXISTS").arg(key).query_async(&mut redis.connect().await).await.unwrap()
}

async fn store(redis: &Redis, key: &str) {
    cmd("SET").arg(key).arg("old").exec_async(&mut redis.connect().await).await.unwrap();
}

/// Waits until the cursors of an agent's lanes say that the cache is true for what `word` names.
async fn cursors_tell(redis: &Redis, agent: &str, word: &str) {
    for lane in LANES {
        let name = format!("purgebus:cursor:{agent}:redis:{lane}");
        eventually(&format!("{name} tells of {word}"), async || {
            let held: Vec<u8> =
                cmd("GET").arg(&name).query_async(&mut redis.connect().await).await.unwrap();
            held.windows(word.len()).any(|part| part == word.as_bytes())
        })
        .await;
    }
}

/// How often the normal lane of an agent has flushed for its configuration.
async fn flushes(bus: &Bus, agent: usize) -> u64 {
    let labels = ["priority=\"normal\"", "cause=\"configuration\""];
    bus.agents[agent].admin().count("purgebus_flushes_total", &labels).await
}

/// Starts a dead agent with another template besides.
async fn restart_with(bus: &mut Bus, redis: &Redis, agent: usize, template: &str) {
    let keys = format!("{KEY}, url = \"{template}\"");
    let settings = Settings::default().redis(redis.address(), &keys, SHARED);
    let file = bus.agent_file(AGENTS[agent], "local", settings);
    bus.agents[agent].configure(file);
    bus.agents[agent].restart().await;
    bus.agents[agent].ready().await;
}

#[tokio::test]
async fn what_one_agent_has_flushed_the_others_do_not_flush_again_and_nobody_waits_for_the_dead() {
    let (nats, redis) = (Nats::start().await, Redis::start().await);
    let mut bus = Bus::on(Wire::nats([nats.url()]));
    bus.start_publisher("publisher-1", "").await;
    for agent in AGENTS {
        let settings = Settings::default().redis(redis.address(), KEY, SHARED);
        bus.start_agent(agent, "local", settings).await;
    }
    bus.registered().await;
    let changed = json!({"site": "main", "keys": ["changed"]});
    bus.publishers[0].api().publish_until("final", &changed).await;
    for (agent, name) in AGENTS.iter().enumerate() {
        cursors_tell(&redis, name, "local").await;
        bus.agents[agent].terminate().await;
    }

    store(&redis, VALUE).await;
    store(&redis, PAGE).await;
    restart_with(&mut bus, &redis, 0, "page:{host}{path}").await;
    cursors_tell(&redis, AGENTS[0], "page:").await;
    assert!(!holds(&redis, PAGE).await && holds(&redis, VALUE).await);
    assert_eq!(flushes(&bus, 0).await, 1);

    // Its pages are new now: they need not go once more.
    bus.agents[0].kill();
    store(&redis, PAGE).await;
    restart_with(&mut bus, &redis, 1, "page:{host}{path}").await;
    cursors_tell(&redis, AGENTS[1], "page:").await;
    assert!(holds(&redis, PAGE).await && holds(&redis, VALUE).await);
    assert_eq!(flushes(&bus, 1).await, 0);

    // Of these nobody tells.
    bus.agents[1].terminate().await;
    let html = "html:www.example.com/";
    store(&redis, html).await;
    restart_with(&mut bus, &redis, 1, "html:{host}{path}").await;
    cursors_tell(&redis, AGENTS[1], "html:").await;
    assert!(!holds(&redis, html).await && holds(&redis, PAGE).await && holds(&redis, VALUE).await);
    assert_eq!(flushes(&bus, 1).await, 1);
}
