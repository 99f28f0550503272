//! The lanes at work, a crew for each cache, and how some of them make room for others.
//!
//! ```text
//! order --> plan (a mistake changes nothing) --> what leaves ends --> what is new begins
//!                                                what stays goes on
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use daemon::{Crew, CrewError, Stop};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use schemas::{CacheName, Priority};
use tokio::sync::mpsc;
use tracing::info;

use super::AgentError;
use super::cache::{Cache, Caches};
use super::ground::Ground;
use super::switch::Order;
use crate::lane::{Lane, LaneSetup};
use crate::progress::{Followed, Progress};
use crate::roster::{ReportedCache, Roster};

/// On a stop, the lanes of a cache have this long: what is under way lands, cursors are stored.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(10);

type Ended = (CacheName, Result<(), CrewError>);

/// The lanes of all caches.
#[derive(Debug)]
pub(super) struct AtWork {
    ground: Ground,
    roster: Roster,
    orders: mpsc::Receiver<Order>,
    caches: Caches,
    posts: Vec<Post>,
    crews: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// Asks every crew to end.
    all: Stop,
}

/// The place of one cache: what is told of it, and how its lanes are asked to end.
#[derive(Debug, Clone)]
struct Post {
    reported: ReportedCache,
    stop: Stop,
}

/// What shall be at work next.
#[derive(Debug)]
pub(super) struct Plan {
    caches: Caches,
    posts: Vec<Post>,
    /// Those of them that are at work already.
    staying: BTreeSet<CacheName>,
    /// The lanes of all others.
    new: Vec<(Post, Vec<LaneSetup>)>,
}

impl AtWork {
    /// Nobody is at work yet.
    pub(super) fn new(ground: Ground, roster: Roster, orders: mpsc::Receiver<Order>) -> Self {
        Self {
            ground,
            roster,
            orders,
            caches: Caches::default(),
            posts: Vec::new(),
            crews: FuturesUnordered::new(),
            all: Stop::new(),
        }
    }

    /// How these come to be at work, and no others.
    pub(super) fn plan(&self, caches: Vec<Cache>) -> Result<Plan, AgentError> {
        let caches = Caches::new(caches)?;
        let staying = caches.unchanged_since(&self.caches);
        let new_post =
            |cache: &Cache| Post { reported: self.ground.reported(cache), stop: self.all.child() };
        let post = |cache: &Cache| {
            let stays = find(&self.posts, &cache.name).filter(|_| staying.contains(&cache.name));
            stays.cloned().unwrap_or_else(|| new_post(cache))
        };
        let posts: Vec<Post> = caches.iter().map(post).collect();
        let places = caches.iter().zip(&posts);
        let new =
            places.filter(|(cache, _)| !staying.contains(&cache.name)).map(|(cache, post)| {
                let lane = |(priority, progress): (&Priority, &Arc<Progress>)| {
                    let inner = inner(&posts, cache, *priority).cloned();
                    self.ground.lane(&caches, cache, *priority, progress.clone(), inner)
                };
                (post.clone(), post.reported.lanes.iter().map(lane).collect())
            });
        let new = new.collect();
        Ok(Plan { caches, posts, staying, new })
    }

    /// Carries out a plan once all that does not stay has ended.
    pub(super) fn begin(&mut self, plan: Plan) {
        for lane in plan.new.iter().flat_map(|(_, lanes)| lanes) {
            if let Some(inner) = &lane.inner {
                lane.progress.has_followed(self.followed(lane, inner));
            }
        }
        self.caches = plan.caches;
        self.posts = plan.posts;
        self.roster.set(self.posts.iter().map(|post| post.reported.clone()).collect());
        for (post, lanes) in plan.new {
            let mut crew = Crew::new(post.stop);
            for lane in lanes {
                let registered = post.reported.registered.subscribe();
                crew.spawn(format!("lane {}", lane.name), Lane::run(lane, registered, crew.stop()));
            }
            let cache = post.reported.cache;
            self.crews.push(Box::pin(async move { (cache, crew.run(STOP_WITHIN).await) }));
        }
    }

    /// How far a lane that begins need not follow its inner one: the lane before it has done so, or it had no reason
    /// to.
    fn followed(&self, lane: &LaneSetup, followed: &Arc<Progress>) -> Followed {
        let (cache, priority) = (&lane.addressee.cache, lane.purpose.priority);
        let cache = self.caches.iter().find(|before| before.name == *cache);
        let same = cache.filter(|cache| {
            inner(&self.posts, cache, priority).is_some_and(|it| Arc::ptr_eq(it, followed))
        });
        let before =
            same.and_then(|cache| find(&self.posts, &cache.name)?.reported.lanes.get(&priority));
        before.map_or_else(|| followed.present(), |before| before.followed())
    }

    /// Works until stopped.
    pub(super) async fn run(mut self, stop: Stop) -> Result<(), CrewError> {
        let mut outcome = loop {
            let order = tokio::select! {
                () = stop.requested() => break Ok(()),
                Some((_, ended)) = self.crews.next() => match ended {
                    Ok(()) => continue,
                    Err(failure) => break Err(failure),
                },
                Some(order) = self.orders.recv() => order,
            };
            if let Err(failure) = self.obey(order, &stop).await {
                break Err(failure);
            }
        };
        self.all.request();
        while let Some((_, ended)) = self.crews.next().await {
            outcome = outcome.and(ended);
        }
        outcome
    }

    /// Puts other caches to work, unless a stop comes first. Fails when a crew does.
    async fn obey(&mut self, order: Order, stop: &Stop) -> Result<(), CrewError> {
        let Order { caches, done } = order;
        let plan = match self.plan(caches) {
            Ok(plan) => plan,
            Err(mistake) => {
                drop(done.send(Err(mistake)));
                return Ok(());
            }
        };
        let leaves = |post: &&Post| !plan.staying.contains(&post.reported.cache);
        let mut leaving = BTreeSet::new();
        for post in self.posts.iter().filter(leaves) {
            post.stop.request();
            leaving.insert(post.reported.cache.clone());
        }
        info!(
            stay = names(&plan.staying),
            end = names(&leaving),
            begin = names(plan.new.iter().map(|(post, _)| &post.reported.cache)),
            "the caches change"
        );
        while !leaving.is_empty() {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                Some((cache, ended)) = self.crews.next() => {
                    ended?;
                    self.ground.metrics.forget(&cache);
                    leaving.remove(&cache);
                }
            }
        }
        self.begin(plan);
        drop(done.send(Ok(())));
        Ok(())
    }
}

fn find<'a>(posts: &'a [Post], name: &CacheName) -> Option<&'a Post> {
    posts.iter().find(|post| post.reported.cache == *name)
}

/// The lane that this lane of `cache` comes after.
fn inner<'a>(posts: &'a [Post], cache: &Cache, priority: Priority) -> Option<&'a Arc<Progress>> {
    find(posts, cache.lane.after.as_ref()?)?.reported.lanes.get(&priority)
}

fn names<'a>(caches: impl IntoIterator<Item = &'a CacheName>) -> String {
    caches.into_iter().map(CacheName::as_str).collect::<Vec<_>>().join(" ")
}
