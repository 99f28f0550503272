//! A small bus with a town around it, to which one mishap happens.
//!
//! ```text
//! start --> agents ready --> open --> an agent stops, edits go on, the mishap, it comes back --> ends: all final
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use fastrand::Rng;
use futures::future::join_all;
use schemas::Priority;
use schemas::api::{Page, PublisherSummary, TAGS_MAX};
use serde_json::json;
use tests::bus::{Bus, Publisher, Wire};
use tests::eventually;
use tests::process::Admin;
use tests::shop::Desk;
use tests::town::{Pace, Place, Stock, Town};

use crate::figures::{Figures, Mended};

/// Of whom the case is about: it is away while the mishap happens.
pub(crate) const LATE: usize = 0;

/// Few edits of many pages: what a lost purge left stays to be found.
pub(crate) const PACE: Pace = Pace {
    pages: 200,
    edit_twice_every: Duration::from_millis(300),
    readers: 1,
    read_every: Duration::from_millis(25),
    final_not_before: Duration::from_secs(1),
};
/// Short times, so that a case takes seconds.
const LANE: &str = "rebounds = [\"1s\"]\nflush_spread = \"500ms\"\n";

/// Edits of before.
const BEFORE: usize = 10;
/// Together 1.5 MiB.
const FLOOD: usize = 120;
const FLOOD_TAG_BYTES: usize = 200;

/// The causes of a flush.
const CAUSES: [&str; 3] = ["no_cursor", "hole", "configuration"];

/// Who takes part, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// How many publishers.
    pub(crate) publishers: usize,
    /// What each agent purges; each is in a region of its own.
    pub(crate) agents: &'static [Stock],
    /// When a missing number is reported as a hole.
    pub(crate) hole_grace: &'static str,
    /// When a hole is answered by a flush.
    pub(crate) hole_deadline: &'static str,
    /// Further keys of `[publisher]`.
    pub(crate) publisher: &'static str,
    /// Further keys of each cache.
    pub(crate) lane: &'static str,
}

impl Default for Shape {
    fn default() -> Self {
        // A deadline that no repair misses, however busy the machine is, and no word that something is lost.
        let (hole_grace, hole_deadline) = ("1s", "5m");
        let agents = &[Stock::Edge, Stock::Edge];
        Self { publishers: 1, agents, hole_grace, hole_deadline, publisher: "", lane: "" }
    }
}

/// What publishers say of numbers that nobody has any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// That they are lost.
    Lost,
    /// Nothing, since they know nothing of their line.
    Nothing,
}

/// Two agents who repair nothing that comes by itself.
pub(crate) const PATIENT: Shape = Shape {
    publishers: 1,
    agents: &[Stock::Edge, Stock::Edge],
    hole_grace: "20s",
    hole_deadline: "60s",
    publisher: "",
    lane: "",
};

/// The bus, the town, and what was counted before the case began.
#[derive(Debug)]
pub(crate) struct Village {
    case: String,
    pub(crate) bus: Bus,
    pub(crate) town: Town,
    counted: Vec<Flushes>,
}

/// How often one agent has flushed in this life, by cause.
type Flushes = [u64; CAUSES.len()];

impl Village {
    /// Starts everything on this log, waits until all agents are ready, and lets people work.
    pub(crate) async fn start(case: &str, wire: Wire, shape: Shape) -> Self {
        let mut rng = Rng::new();
        let desk = Desk::open();
        let mut places = Vec::new();
        for (at, stock) in shape.agents.iter().enumerate() {
            places.push(Place::open(format!("agent-{at}"), *stock, &desk, rng.fork()).await);
        }
        let town = Town::found(desk, places, PACE, rng).await;
        let mut bus = Bus::on(wire);
        for at in 0..shape.publishers {
            bus.start_publisher(&format!("publisher-{at}"), shape.publisher).await;
        }
        let (grace, deadline, more) = (shape.hole_grace, shape.hole_deadline, shape.lane);
        let lane =
            format!("{LANE}hole_grace = \"{grace}\"\nhole_deadline = \"{deadline}\"\n{more}");
        for (at, place) in town.places.iter().enumerate() {
            bus.start_agent(place.name(), &format!("region-{at}"), place.settings(&lane)).await;
        }
        bus.registered().await;
        let mut village = Self { case: case.to_owned(), bus, town, counted: Vec::new() };
        village.counted = village.flushes().await;
        village.town.open(village.bus.apis());
        village.edit(BEFORE).await;
        village.rests().await;
        village.have_cursors().await;
        village
    }

    /// Who dies before that comes back as one who is new.
    async fn have_cursors(&self) {
        for agent in &self.bus.agents {
            eventually("every lane of a first cache has a cursor", async || {
                let files = fs::read_dir(agent.home().state()).into_iter().flatten().flatten();
                let cursors =
                    files.filter(|file| file.path().extension() == Some("cursor".as_ref()));
                cursors.count() >= Priority::ALL.len()
            })
            .await;
        }
    }

    /// So many edits, one after the other, each accepted.
    pub(crate) async fn edit(&self, count: usize) {
        for _ in 0..count {
            self.town.editors.edit().await;
        }
    }

    /// More than 1 MiB of invalidations: more than a small log keeps, or a small journal.
    pub(crate) async fn flood(&self) {
        for at in 0..FLOOD {
            let tag = |tag| format!("flood-{at}-{tag}-{}", "x".repeat(FLOOD_TAG_BYTES));
            let tags: Vec<String> = (0..TAGS_MAX).map(tag).collect();
            let body = json!({"site": "main", "tags": tags});
            self.bus.publishers[0].api().publish(&body).await;
        }
    }

    /// The agent of the case is killed.
    pub(crate) fn stop_late(&mut self) {
        self.bus.agents[LATE].kill();
    }

    /// It comes back.
    pub(crate) async fn start_late(&mut self) {
        self.bus.agents[LATE].restart().await;
        self.counted[LATE] = Flushes::default();
    }

    /// Everything accepted so far is final everywhere, and nothing is lost or stale. People go on.
    pub(crate) async fn rests(&mut self) {
        self.town.come_to_rest().await.is_sound();
        self.town.open(self.bus.apis());
    }

    /// The agent of the case, which is dead, is replaced by one of another name for the same caches.
    pub(crate) async fn replace_late(&mut self, name: &str) {
        drop(self.bus.agents.remove(LATE));
        let place = &self.town.places[LATE];
        let region = format!("region-{LATE}");
        self.bus.start_agent(name, &region, place.settings(LANE)).await;
        let successor = self.bus.agents.pop().expect("just started");
        self.bus.agents.insert(LATE, successor);
        self.counted[LATE] = Flushes::default();
    }

    /// Retires whoever has this path below `/v1`, and has not been silent for long.
    pub(crate) async fn retire(&self, path: &str) {
        let answer = self.bus.publishers[0].api().delete(&format!("/v1/{path}?force=true")).await;
        let answer = answer.expect("an answer");
        assert!(answer.is_success(), "{path} is retired: {answer}");
    }

    /// A publisher is gone for good, as soon as some lane has heard all that it numbered; people know it.
    pub(crate) async fn lose_publisher(&mut self, at: usize) {
        let (lost, left) = (&self.bus.publishers[at], &self.bus.publishers[0]);
        let lines = async |asked: &Publisher| {
            let publishers = asked.api().get::<Page<PublisherSummary>>("/v1/publishers").await;
            let mut rows = publishers.into_iter().flat_map(|page| page.items);
            let row = rows.find(|row| row.publisher.as_str() == lost.name());
            let lines = row.into_iter().flat_map(|row| row.lines);
            lines.map(|line| (line.line, line.last)).collect::<BTreeMap<_, _>>()
        };
        let numbered = lines(lost).await;
        assert!(numbered.values().any(|last| *last > 0), "it numbered nothing");
        eventually("a lane has heard all of it", async || lines(left).await == numbered).await;
        drop(self.bus.publishers.remove(at));
        self.town.editors.turn_to(self.bus.apis());
    }

    /// It comes to rest, nothing is lost or stale, and what was missing was mended in this way.
    pub(crate) async fn ends(mut self, mended: Mended) {
        let rest = self.town.come_to_rest().await;
        let figures = self.figures().await;
        figures.show(&rest);
        rest.is_sound();
        figures.are(mended);
    }

    /// As [`Self::ends`], by a flush, where publishers have forgotten what they accepted and so cannot say when it is
    /// final.
    pub(crate) async fn ends_forgotten(mut self, cause: &'static str, said: Said) {
        if said == Said::Lost {
            eventually("numbers given up", async || self.figures().await.lost_numbers > 0).await;
        }
        eventually("a flush", async || self.figures().await.flushes_for(cause) > 0).await;
        let mut rest = self.town.come_to_rest().await;
        eventually("all caches are fresh", async || {
            rest.lost = self.town.losses().await;
            rest.lost.is_empty()
        })
        .await;
        let figures = self.figures().await;
        figures.show(&rest);
        rest.is_fresh();
        assert!(!rest.unknown.is_empty(), "nothing was forgotten");
        assert_eq!(figures.lost_numbers > 0, said == Said::Lost, "{said:?}");
        figures.are(Mended::Flushed(cause));
    }

    async fn figures(&self) -> Figures {
        let of_all = async |name: &str| {
            let publishers = self.bus.publishers.iter();
            let counts = publishers.map(async |publisher: &tests::bus::Publisher| {
                publisher.admin().count(name, &[]).await
            });
            join_all(counts).await.into_iter().sum()
        };
        let flushes = self.flushes().await;
        let since = |cause: usize| {
            flushes.iter().zip(&self.counted).map(|(now, before)| now[cause] - before[cause]).sum()
        };
        Figures {
            case: self.case.clone(),
            repairs: of_all("purgebus_repairs_total").await,
            lost_numbers: of_all("purgebus_lost_numbers_total").await,
            flushes: CAUSES.iter().enumerate().map(|(at, cause)| (*cause, since(at))).collect(),
        }
    }

    async fn flushes(&self) -> Vec<Flushes> {
        let of = async |agent: &Admin| {
            let mut flushes = Flushes::default();
            for (at, cause) in CAUSES.iter().enumerate() {
                let label = format!("cause=\"{cause}\"");
                flushes[at] = agent.count("purgebus_flushes_total", &[&label]).await;
            }
            flushes
        };
        join_all(self.bus.agents.iter().map(|agent| of(agent.admin()))).await
    }
}
