//! The one suite that every driver passes on its real server: what a purge takes, what it leaves, and what a
//! lane may rely on when the server fails.
//!
//! A driver's test implements [`Specimen`] and calls [`run`].

mod cases;
mod object;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use schemas::{Abilities, Ability, Audience, Mode, SelectorKind, Site, Sites};
use tokio::time::{Instant, sleep, timeout};

use self::cases::Case;
pub use self::object::{Address, Object};
use self::object::{HOST, MAIN, OTHER, OTHER_HOST, SECOND_HOST, lone, named};
use super::{Batch, Driver, Fetches, Purge, PurgeError};

/// Longest time a call may take, whatever the server does, and a server may need to come back.
const PATIENCE: Duration = Duration::from_secs(20);

/// A driver and its real server, alone with this suite.
#[async_trait]
pub trait Specimen: Debug + Send {
    /// The driver, opened with [`sites`].
    fn driver(&self) -> Arc<dyn Driver>;

    /// What it shall be able to do with selectors of `kind`.
    fn ability(&self, kind: SelectorKind) -> Ability;

    /// Puts a fresh `object` into the cache; a page comes with its tags.
    async fn store(&mut self, object: &Object);

    /// Whether the cache would answer with this object as fresh. Does not refill it.
    async fn holds_fresh(&mut self, object: &Object) -> bool;

    /// Whether one URL may have several variants.
    fn has_variants(&self) -> bool {
        false
    }

    /// Stops the server.
    async fn stop(&mut self);

    /// Starts it again at the same address.
    async fn start(&mut self);

    /// Lets the server refuse purges, or not any more; false where it cannot.
    async fn refuse(&mut self, _refuse: bool) -> bool {
        false
    }
}

/// The sites of the suite: `main` with two hosts, and `other`, whose objects no purge of `main` may touch.
///
/// # Panics
/// Never: the names are valid.
pub fn sites() -> Arc<Sites> {
    Arc::new(Sites::new([(MAIN, &[HOST, SECOND_HOST][..]), (OTHER, &[OTHER_HOST])].map(
        |(name, hosts)| Site {
            name: name.parse().expect("a valid name"),
            hosts: hosts.iter().map(|host| host.parse().expect("a valid host")).collect(),
            regions: Audience::All,
        },
    )))
}

/// Runs every check.
///
/// # Panics
/// With the sentence that does not hold.
pub async fn run(specimen: &mut dyn Specimen) {
    let abilities = it_is_able_to_what_the_specimen_says(specimen).await;
    every_purge_takes_what_it_names_and_leaves_the_rest(specimen, &abilities).await;
    a_purge_of_what_is_not_cached_succeeds(specimen, &abilities).await;
    the_largest_batch_works_and_repeating_it_is_harmless(specimen, &abilities).await;
    the_probe_purges_nothing_of_a_site(specimen, &abilities).await;
    concurrent_calls_each_purge_their_own(specimen, &abilities).await;
    a_call_dropped_midway_leaves_the_driver_usable(specimen, &abilities).await;
    a_refusing_server_is_refused_and_recovers(specimen, &abilities).await;
    a_stopped_server_is_unavailable_and_recovers(specimen, &abilities).await;
}

async fn it_is_able_to_what_the_specimen_says(specimen: &mut dyn Specimen) -> Abilities {
    let abilities = within(specimen.driver().abilities()).await.expect("it tells its abilities");
    for kind in object::KINDS {
        assert_eq!(abilities.of(kind), specimen.ability(kind), "ability for {kind:?}");
    }
    assert!(abilities.batch_selectors_max > 0, "a batch holds at least one selector");
    assert!(!abilities.manner.is_empty(), "it says how it works");
    abilities
}

async fn every_purge_takes_what_it_names_and_leaves_the_rest(
    specimen: &mut dyn Specimen,
    abilities: &Abilities,
) {
    let soft = if abilities.soft { cases::ordinary() } else { Vec::new() };
    let hard = [cases::ordinary(), cases::hostile()].concat();
    let mut ran = 0;
    for (mode, cases) in [(Mode::Hard, hard), (Mode::Soft, soft)] {
        for case in cases.iter().filter(|case| applies(case, abilities)) {
            if specimen.has_variants() || !case.has_variants() {
                check(specimen, case, mode).await;
                ran += 1;
            }
        }
    }
    assert!(ran > 0, "no case applies to {abilities:?}");
}

fn applies(case: &Case, abilities: &Abilities) -> bool {
    let purged = case.purges.iter().map(|purge| purge.selector.kind());
    let held = case.gone.iter().chain(&case.kept).map(Object::kind);
    purged.chain(held).all(|kind| abilities.of(kind) == Ability::Supported)
}

async fn check(specimen: &mut dyn Specimen, case: &Case, mode: Mode) {
    let sentence = &case.sentence;
    for object in case.gone.iter().chain(&case.kept) {
        specimen.store(object).await;
    }
    for object in case.gone.iter().chain(&case.kept) {
        assert!(specimen.holds_fresh(object).await, "{sentence}: {object} was not stored");
    }
    let purges = case.purges.iter().map(|purge| Purge { mode, ..purge.clone() }).collect();
    purge(specimen, purges).await.unwrap_or_else(|error| panic!("{sentence}: {error:?}"));
    for object in &case.gone {
        assert!(
            !specimen.holds_fresh(object).await,
            "{sentence}: {object} outlived a {mode:?} purge"
        );
    }
    for object in &case.kept {
        assert!(specimen.holds_fresh(object).await, "{sentence}: {object} went too ({mode:?})");
    }
}

async fn a_purge_of_what_is_not_cached_succeeds(
    specimen: &mut dyn Specimen,
    abilities: &Abilities,
) {
    let mut purges = named(abilities, "never-stored").map(|(_, purge)| purge).collect::<Vec<_>>();
    if abilities.everything == Ability::Supported {
        purges.push(object::everything());
    }
    for alone in &purges {
        purge(specimen, vec![alone.clone()]).await.expect("purging nothing is no error");
    }
    purge(specimen, purges).await.expect("purging nothing is no error");
}

async fn the_largest_batch_works_and_repeating_it_is_harmless(
    specimen: &mut dyn Specimen,
    abilities: &Abilities,
) {
    let (bystander, _) = lone(abilities, "bystander");
    let max = usize::try_from(abilities.batch_selectors_max).expect("fits");
    let full = (0..).flat_map(|at| named(abilities, &format!("many-{at}"))).take(max);
    let (objects, purges): (Vec<_>, Vec<_>) = full.unzip();
    let stored = || objects.iter().step_by(97).chain(objects.last());
    specimen.store(&bystander).await;
    for round in ["first", "second"] {
        for object in stored() {
            specimen.store(object).await;
        }
        purge(specimen, purges.clone()).await.expect("a batch as large as it says");
        for object in stored() {
            assert!(
                !specimen.holds_fresh(object).await,
                "{object} outlived the {round} full batch"
            );
        }
    }
    assert!(specimen.holds_fresh(&bystander).await, "a full batch took {bystander} too");
}

async fn the_probe_purges_nothing_of_a_site(specimen: &mut dyn Specimen, abilities: &Abilities) {
    let (object, _) = lone(abilities, "not-the-probe");
    specimen.store(&object).await;
    within(specimen.driver().probe()).await.expect("it can be probed");
    assert!(specimen.holds_fresh(&object).await, "the probe purged {object}");
}

async fn concurrent_calls_each_purge_their_own(specimen: &mut dyn Specimen, abilities: &Abilities) {
    let (bystander, _) = lone(abilities, "beside-the-crowd");
    let crowd = (0..16).map(|at| lone(abilities, &format!("crowd-{at}"))).collect::<Vec<_>>();
    for object in crowd.iter().map(|(object, _)| object).chain([&bystander]) {
        specimen.store(object).await;
    }
    let driver = specimen.driver();
    let calls = crowd.iter().map(|(_, purge)| {
        let (driver, batch) = (driver.clone(), Batch { purges: vec![purge.clone()] });
        async move { driver.purge(&batch).await }
    });
    for outcome in within(join_all(calls)).await {
        outcome.expect("one of several calls at a time");
    }
    for (object, _) in &crowd {
        assert!(!specimen.holds_fresh(object).await, "{object} outlived concurrent calls");
    }
    assert!(specimen.holds_fresh(&bystander).await, "concurrent calls took {bystander} too");
}

async fn a_call_dropped_midway_leaves_the_driver_usable(
    specimen: &mut dyn Specimen,
    abilities: &Abilities,
) {
    let driver = specimen.driver();
    let purges =
        (0..8).flat_map(|at| named(abilities, &format!("dropped-{at}"))).map(|(_, purge)| purge);
    let max = usize::try_from(abilities.batch_selectors_max).expect("fits");
    let batch = Batch { purges: purges.take(max).collect() };
    for polls in 0..24 {
        tokio::select! {
            biased;
            _ = driver.purge(&batch) => {}
            () = yields(polls) => {}
        }
        let (object, purge_it) = lone(abilities, &format!("after-drop-{polls}"));
        specimen.store(&object).await;
        purge(specimen, vec![purge_it]).await.expect("a dropped call leaves no trace");
        assert!(
            !specimen.holds_fresh(&object).await,
            "{object} outlived a purge after a dropped one"
        );
    }
}

async fn yields(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

async fn a_refusing_server_is_refused_and_recovers(
    specimen: &mut dyn Specimen,
    abilities: &Abilities,
) {
    if !specimen.refuse(true).await {
        return;
    }
    let (object, purge_it) = lone(abilities, "refused");
    specimen.store(&object).await;
    let refused = purge(specimen, vec![purge_it.clone()]).await;
    assert!(matches!(refused, Err(PurgeError::Refused(_))), "a refusal became {refused:?}");
    let probed = within(specimen.driver().probe()).await;
    assert!(matches!(probed, Err(PurgeError::Refused(_))), "the probe was not refused: {probed:?}");
    assert!(specimen.holds_fresh(&object).await, "what was refused happened all the same");
    specimen.refuse(false).await;
    it_recovers(specimen, abilities).await;
}

async fn a_stopped_server_is_unavailable_and_recovers(
    specimen: &mut dyn Specimen,
    abilities: &Abilities,
) {
    specimen.stop().await;
    let (_, purge_it) = lone(abilities, "while-stopped");
    let failed = purge(specimen, vec![purge_it]).await;
    assert!(matches!(failed, Err(PurgeError::Unavailable { .. })), "a dead server gave {failed:?}");
    let probed = within(specimen.driver().probe()).await;
    assert!(matches!(probed, Err(PurgeError::Unavailable { .. })), "a dead server gave {probed:?}");
    specimen.start().await;
    it_recovers(specimen, abilities).await;
}

async fn it_recovers(specimen: &mut dyn Specimen, abilities: &Abilities) {
    let (object, purge_it) = lone(abilities, "recovered");
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = purge(specimen, vec![purge_it.clone()]).await {
        assert!(Instant::now() < deadline, "it does not recover by itself: {error:?}");
        sleep(Duration::from_millis(20)).await;
    }
    specimen.store(&object).await;
    purge(specimen, vec![purge_it]).await.expect("it recovered");
    assert!(!specimen.holds_fresh(&object).await, "{object} outlived a purge after the recovery");
}

async fn purge(specimen: &dyn Specimen, purges: Vec<Purge>) -> Result<Fetches, PurgeError> {
    within(specimen.driver().purge(&Batch { purges })).await
}

async fn within<T>(call: impl Future<Output = T>) -> T {
    timeout(PATIENCE, call).await.expect("every call ends in bounded time")
}
