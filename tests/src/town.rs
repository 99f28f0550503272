//! A town around a bus: places with real caches and shops, editors who publish at any publisher, readers everywhere, and
//! an oracle who knows what each reader had to get.
//!
//! ```text
//! found --> open (editors edit, readers read) --> come_to_rest (all final, every cache compared) --> open again ...
//! ```

mod edge;
mod editors;
mod place;
mod rest;

use std::sync::Arc;
use std::time::Duration;

use daemon::Stop;
use fastrand::Rng;
use futures::StreamExt;
use futures::stream::iter;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::serve::{Api, Reader};
use crate::shop::Desk;

pub use edge::Edge;
pub use editors::{Edit, Editors};
pub use place::{Place, SLOWEST, Stock, inner};
pub use rest::Rest;

/// How many pages are asked for at the same time, when all are.
const LOOKS_AT_ONCE: usize = 16;

/// How much goes on.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// So many that what a lost purge left is not soon mended by the next edit of that page.
    pub pages: usize,
    /// A page is edited twice so often.
    pub edit_twice_every: Duration,
    /// Readers at each place.
    pub readers: usize,
    /// How often each of them reads.
    pub read_every: Duration,
    /// Nothing is final earlier.
    pub final_not_before: Duration,
}

impl Pace {
    fn pages(self) -> impl Iterator<Item = String> {
        (0..self.pages).map(|at| format!("/page/{at}"))
    }

    fn any_page(self, rng: &mut Rng) -> String {
        format!("/page/{}", rng.usize(..self.pages))
    }
}

/// The town.
#[derive(Debug)]
pub struct Town {
    /// Its places.
    pub places: Vec<Place>,
    /// Its editors.
    pub editors: Editors,
    desk: Arc<Desk>,
    pace: Pace,
    rng: Rng,
    editing: JoinSet<()>,
    reading: JoinSet<()>,
    no_more_edits: Stop,
    no_more_reads: Stop,
}

impl Town {
    /// All caches hold every page, in the version of before. Nobody works yet.
    pub async fn found(desk: Arc<Desk>, places: Vec<Place>, pace: Pace, mut rng: Rng) -> Self {
        for page in pace.pages() {
            desk.commit(&page);
        }
        let fill = async |place: &Place| {
            let read = async |page: String| desk.read(place.name(), place.reader(), &page).await;
            iter(pace.pages()).for_each_concurrent(LOOKS_AT_ONCE, read).await;
        };
        for place in &places {
            fill(place).await;
        }
        let readers = places.iter().map(|place| (place.name().to_owned(), place.reader().clone()));
        let editors = Editors::new(desk.clone(), readers.collect(), pace, rng.fork());
        Self {
            places,
            editors,
            desk,
            pace,
            rng,
            editing: JoinSet::new(),
            reading: JoinSet::new(),
            no_more_edits: Stop::new(),
            no_more_reads: Stop::new(),
        }
    }

    /// Editors publish at all of these, and people read.
    pub fn open(&mut self, apis: Vec<Api>) {
        self.editors.turn_to(apis);
        (self.no_more_edits, self.no_more_reads) = (Stop::new(), Stop::new());
        self.editing.spawn(self.editors.clone().edit_on(self.no_more_edits.clone()));
        self.reading.spawn(self.editors.clone().follow(self.no_more_reads.clone()));
        for place in &self.places {
            for _ in 0..self.pace.readers {
                let person = Person {
                    desk: self.desk.clone(),
                    place: place.name().to_owned(),
                    reader: place.reader().clone(),
                    pace: self.pace,
                    rng: self.rng.fork(),
                };
                self.reading.spawn(person.read_on(self.no_more_reads.clone()));
            }
        }
    }

    /// The editors leave; readers go on until everything accepted is final. Then every cache is compared with the
    /// newest version of every page.
    ///
    /// # Panics
    /// When something is not final in time.
    pub async fn come_to_rest(&mut self) -> Rest {
        self.no_more_edits.request();
        finish(&mut self.editing).await;
        self.editors.finish_all().await;
        self.no_more_reads.request();
        finish(&mut self.reading).await;
        let reads = |place: &Place| (place.name().to_owned(), place.reads(&self.desk));
        Rest {
            edits: self.editors.accepted(),
            lost: self.losses().await,
            reads: self.places.iter().map(reads).collect(),
            unknown: self.editors.unknown(),
        }
    }

    /// Pages that a cache serves in an old version just now.
    pub async fn losses(&self) -> Vec<String> {
        let mut lost = Vec::new();
        for place in &self.places {
            let look = async |(page, newest): (String, u64)| place.loss(&page, newest).await;
            let looks = iter(self.desk.pages()).map(look).buffer_unordered(LOOKS_AT_ONCE);
            lost.extend(looks.filter_map(async |loss| loss).collect::<Vec<_>>().await);
        }
        lost
    }
}

/// Who reads at one place.
struct Person {
    desk: Arc<Desk>,
    place: String,
    reader: Reader,
    pace: Pace,
    rng: Rng,
}

impl Person {
    async fn read_on(mut self, stop: Stop) {
        while !stop.is_requested() {
            let page = self.pace.any_page(&mut self.rng);
            self.desk.read(&self.place, &self.reader, &page).await;
            sleep(self.pace.read_every).await;
        }
    }
}

async fn finish(tasks: &mut JoinSet<()>) {
    while let Some(done) = tasks.join_next().await {
        done.expect("it ends well");
    }
}
