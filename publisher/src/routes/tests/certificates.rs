//! Certificates that are made of the trail alone, for two regions with two caches each.

use std::time::Duration;

use daemon::Clock;
use schemas::api::{CacheProgress, Certificate, Evidence};
use schemas::{CacheReport, LineId, LineReport, Number, NumberRange, Outcome, Report};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use super::api::{Api, good};
use crate::AuditFolder;
use crate::samples::{lane_report, report};

/// A publisher with a trail, one invalidation, and two agents: of each region, with Redis behind Varnish.
struct Bus {
    api: Api,
    folder: TempDir,
    id: Uuid,
    line: LineId,
    number: Number,
    reports: u64,
}

impl Bus {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let api = Api::start_audited(None, Some(folder.path())).await;
        let mut bus = Self {
            api,
            folder,
            id: Uuid::nil(),
            line: LineId::from_bytes([0; 16]),
            number: 0,
            reports: 0,
        };
        for (agent, region) in [("edge-1", "eu-west"), ("edge-2", "us-east")] {
            bus.reports(agent, region, [None, None]).await;
            bus.api.shows("/v1/agents", agent).await;
        }
        bus.id = bus.api.post(&good()).await.json()["id"].as_str().unwrap().parse().unwrap();
        let lines = bus.api.get("/v1/audit?what=publish").await.json();
        let line = &lines["items"][0];
        bus.line = line["line"].as_str().unwrap().parse().unwrap();
        bus.number = line["number"].as_u64().unwrap();
        bus
    }

    /// How Redis and Varnish of that agent have settled it; `None`: they have not.
    async fn reports(&mut self, agent: &str, region: &str, outcomes: [Option<Outcome>; 2]) {
        self.reports += 1;
        let caches = ["redis", "varnish"].into_iter().zip(outcomes).map(|(name, outcome)| {
            let lines = (self.number > 0).then(|| self.settled(outcome)).into_iter().collect();
            let of_one = report(agent, region, lane_report(lines)).caches.remove(0);
            CacheReport { cache: name.parse().unwrap(), ..of_one }
        });
        let caches = caches.collect();
        let sequence = self.reports;
        let told = report(agent, region, lane_report(Vec::new()));
        self.api.put(Report { caches, sequence, at: Clock::system().now(), ..told }).await;
    }

    fn settled(&self, outcome: Option<Outcome>) -> LineReport {
        let mut told = LineReport::new(self.line);
        let Some(outcome) = outcome else { return told };
        (told.applied, told.finished) = (self.number, self.number);
        if outcome != Outcome::Purged {
            let numbers = NumberRange { first: self.number, last: self.number };
            told.exceptions.push((numbers, outcome));
        }
        told
    }

    /// What the folder alone says, once it says so.
    async fn certificate(&self, is_it: impl Fn(&Certificate) -> bool) -> Certificate {
        let mut certificate = None;
        for _ in 0..2_400 {
            let folder = AuditFolder::new(self.folder.path().to_owned());
            certificate = folder.certificate(self.id, Clock::system().now()).unwrap();
            if certificate.as_ref().is_some_and(&is_it) {
                return certificate.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the trail never told: {certificate:#?}");
    }
}

fn outcomes(certificate: &Certificate) -> Vec<(String, Option<Outcome>)> {
    let caches = certificate.progress.regions.iter().flat_map(|region| {
        let name =
            |cache: &CacheProgress| format!("{} {} {}", region.region, cache.agent, cache.cache);
        region.caches.iter().map(move |cache| (name(cache), cache.outcome))
    });
    caches.collect()
}

fn missing(certificate: &Certificate) -> Vec<String> {
    let missing = certificate.progress.missing.iter();
    missing.map(|it| format!("{} {} {}: {}", it.region, it.agent, it.cache, it.reason)).collect()
}

#[tokio::test]
async fn every_region_and_cache_is_told_and_whoever_is_missing_or_gave_up() {
    const PURGED: Option<Outcome> = Some(Outcome::Purged);
    let caches = [
        "eu-west edge-1 redis",
        "eu-west edge-1 varnish",
        "us-east edge-2 redis",
        "us-east edge-2 varnish",
    ];
    let with = |last_but_one: Option<Outcome>| {
        let told = [PURGED, PURGED, last_but_one, PURGED];
        caches.into_iter().map(str::to_owned).zip(told).collect::<Vec<_>>()
    };
    let mut bus = Bus::start().await;
    bus.reports("edge-1", "eu-west", [PURGED, PURGED]).await;
    bus.reports("edge-2", "us-east", [None, PURGED]).await;
    let late = bus.certificate(|told| outcomes(told) == with(None)).await;
    assert_eq!((late.complete, late.evidence), (false, Evidence::Trail));
    assert_eq!(missing(&late), ["us-east edge-2 redis: not purged yet"]);
    assert_eq!(late.record.unwrap()["selectors"], Value::from(vec!["tag article-7"]));

    bus.reports("edge-2", "us-east", [Some(Outcome::Refused), PURGED]).await;
    let refused = bus.certificate(|told| outcomes(told) == with(Some(Outcome::Refused))).await;
    assert!(!refused.complete, "{refused:#?}");
    assert!(missing(&refused)[0].starts_with("us-east edge-2 redis: "), "{:?}", missing(&refused));

    // A human drops the dead letter.
    bus.reports("edge-2", "us-east", [Some(Outcome::Cancelled), PURGED]).await;
    let dropped = bus.certificate(|told| outcomes(told) == with(Some(Outcome::Cancelled))).await;
    assert_eq!((dropped.complete, missing(&dropped)), (true, Vec::<String>::new()));
    assert_eq!(dropped.published, late.published);
    assert!(dropped.read_to.unwrap().seq > refused.read_to.unwrap().seq);
    bus.api.end().await;
}

#[tokio::test]
async fn whoever_is_retired_owes_nothing_any_more() {
    const PURGED: Option<Outcome> = Some(Outcome::Purged);
    let mut bus = Bus::start().await;
    bus.reports("edge-1", "eu-west", [PURGED, PURGED]).await;
    bus.reports("edge-2", "us-east", [PURGED, None]).await;
    let late = bus.certificate(|told| missing(told).len() == 1).await;
    assert_eq!(
        (late.complete, missing(&late)[0].as_str()),
        (false, "us-east edge-2 varnish: not purged yet")
    );
    let retired = bus.api.send("DELETE /v1/agents/edge-2?force=true", "", b"").await;
    assert_eq!(retired.status, 200);
    let told = bus.certificate(|told| told.complete).await;
    assert_eq!(outcomes(&told).len(), 2, "{told:#?}");
    bus.api.end().await;
}
