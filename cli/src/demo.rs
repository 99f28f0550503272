//! The demo: an origin whose pages change, two regions of caches, a publisher and agents, in one process.
//!
//! ```text
//! editor --commit--> stage (oracle) <--judge-- readers
//!    |                 ^                         |
//!    +--> publisher --> log --> agents --> caches <+--> origin
//!    +--> one edge, purged by hand once <----------+
//! ```
//!
//! [`site`] is the same bus before a folder of the reader's own.

mod application;
mod bus;
mod editor;
mod origin;
mod readers;
mod region;
mod screen;
mod servers;
pub(crate) mod site;
mod stage;
mod verdict;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::driver::Surroundings;
use agent::driver::edge::Edge;
use anyhow::anyhow;
use daemon::{Crew, Stop};
use publisher::PublisherHandle;
use schemas::{Outcome, Sites};
use tokio::time::sleep;

use self::bus::{Bus, PATIENCE};
use self::editor::{Changes, Editor};
use self::readers::Readers;
pub(crate) use self::region::Extra;
use self::region::{Place, edge_config};
use self::screen::Screen;
pub(crate) use self::servers::Missing;
use self::stage::{NAIVE, Stage};
pub(crate) use self::verdict::Verdict;
use self::verdict::{PlaceVerdict, RegionVerdict};

/// The regions on stage.
const REGIONS: [&str; 2] = ["eu-west", "us-east"];
/// Caching edges in each of them.
const EDGES_PER_REGION: usize = 2;

/// Whether the real servers asked for are installed.
pub(crate) fn find(with: &[Extra]) -> Result<(), Missing> {
    with.iter().try_for_each(|extra| match extra {
        Extra::Varnish => servers::varnish::find(),
        Extra::Redis => servers::redis::find(),
    })
}

/// The demo with everything opened; the curtain is down.
#[derive(Debug)]
pub(crate) struct Demo {
    bus: Bus,
    stage: Arc<Stage>,
    places: Vec<Place>,
    naive: Arc<Edge>,
    with_redis: bool,
}

impl Demo {
    /// Opens everything in a temporary folder and on free ports.
    pub(crate) async fn open(with: &[Extra]) -> anyhow::Result<Self> {
        let stage = Arc::new(Stage::new());
        let mut bus = Bus::open(origin::router(stage.clone())).await?;
        let mut places = Vec::new();
        for region in REGIONS {
            places.extend(bus.add_region(region, EDGES_PER_REGION, with).await?);
        }
        let address = bus.add_edge().await?;
        let naive = Arc::new(by_hand(address, bus.sites.clone())?);
        places.push(Place { region: NAIVE.to_owned(), cache: "edge".to_owned(), address });
        let with_redis = with.contains(&Extra::Redis);
        Ok(Self { bus, stage, places, naive, with_redis })
    }

    /// Changes pages for so long, or until asked to stop, waits until all is final, and judges.
    pub(crate) async fn run(self, lasts: Duration, stop: Stop) -> anyhow::Result<Verdict> {
        let Self { bus, stage, places, naive, with_redis } = self;
        let publisher = bus.publisher.clone();
        let changes = Arc::new(Changes::default());
        let readers = Readers::new(stage.clone(), places.clone())?;
        let editor = Editor {
            stage: stage.clone(),
            publisher: publisher.clone(),
            naive,
            readers: readers.clone(),
            changes: changes.clone(),
            with_redis,
        };
        let screen = Screen {
            stage: stage.clone(),
            publisher: publisher.clone(),
            changes: changes.clone(),
            places: places.clone(),
            lasts,
        };
        bus.run(&stop, async {
            play(lasts, &stop, editor, screen, readers.clone()).await?;
            judge(&places, &readers, &stage, &publisher, &changes).await
        })
        .await
    }
}

/// The acts: pages change while they are read; all is quiet.
async fn play(
    lasts: Duration,
    stop: &Stop,
    editor: Editor,
    screen: Screen,
    readers: Readers,
) -> anyhow::Result<()> {
    let editing = stop.child();
    let mut crew = Crew::new(Stop::new());
    let all = crew.stop();
    crew.spawn("readers", readers.run(all.clone()));
    crew.spawn("screen", screen.run(all.clone()));
    let (stop_editing, done) = (editing.clone(), all.clone());
    crew.spawn("editor", async move {
        let ended = editor.run(stop_editing).await;
        // A last round of reads with everything final.
        sleep(origin::LONGEST_FETCH).await;
        done.request();
        ended
    });
    crew.spawn("curtain", async move {
        tokio::select! {
            () = sleep(lasts) => editing.request(),
            () = editing.requested() => {}
        }
        Ok(())
    });
    Ok(crew.run(PATIENCE).await?)
}

/// Every page is read once more at every cache.
async fn judge(
    places: &[Place],
    readers: &Readers,
    stage: &Stage,
    publisher: &PublisherHandle,
    changes: &Changes,
) -> anyhow::Result<Verdict> {
    let (mut bus, mut naive) = (Vec::new(), None);
    for place in places {
        let left_old = readers.old_pages(place).await.map_err(|error| anyhow!(error))?;
        let purged = purged(publisher, place);
        let verdict = PlaceVerdict::new(place, purged, stage.reads(&place.name()), left_old);
        if place.region == NAIVE {
            naive = Some(verdict);
        } else {
            bus.push(verdict);
        }
    }
    let (changes, finished) = changes.counts();
    Ok(Verdict {
        changes,
        finished,
        lost: bus.iter().map(|place| place.pages_left_old).sum(),
        stale_after_final: bus.iter().map(|place| place.stale_after_final).sum(),
        regions: publisher.regions().iter().map(RegionVerdict::from).collect(),
        places: bus,
        naive: naive.ok_or_else(|| anyhow!("the naive edge was not read"))?,
    })
}

/// How many invalidations the bus has purged at `place`; none where it has no part in it.
fn purged(publisher: &PublisherHandle, place: &Place) -> Option<u64> {
    let lanes = publisher.caches();
    let ours = lanes
        .iter()
        .filter(|lane| lane.region.as_str() == place.region && lane.cache.as_str() == place.cache);
    ours.map(|lane| {
        let count = |outcome| lane.outcomes.get(&outcome).copied().unwrap_or_default();
        count(Outcome::Purged) + count(Outcome::Covered)
    })
    .reduce(|all, lane| all + lane)
}

fn by_hand(address: SocketAddr, sites: Arc<Sites>) -> anyhow::Result<Edge> {
    let surroundings = Surroundings {
        sites,
        region: NAIVE.parse()?,
        agent: NAIVE.parse()?,
        cache: NAIVE.parse()?,
        priority: schemas::Priority::Normal,
        instance: uuid::Uuid::new_v4(),
    };
    Ok(Edge::new(&edge_config(address)?, &surroundings))
}
