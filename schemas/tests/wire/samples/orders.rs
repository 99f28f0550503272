//! Orders.

use schemas::{ChosenLetters, Mode, Order, Ordered, Orders, Paused, Place, Priority};
use uuid::Uuid;

use super::frames::invalidation;
use super::letters::letter;
use super::{line, text, time};

pub(crate) fn order(digit: u128) -> Uuid {
    Uuid::from_u128(0x0193_4d2e_5b00_7abc_8def_0123_4567_8900 + digit)
}

pub(crate) fn orders() -> Orders {
    let flush = |digit, cache: Option<&str>, mode| Order {
        id: order(digit),
        at: time("2026-11-21T10:00:00Z"),
        expires_at: time("2026-11-22T10:00:00Z"),
        what: Ordered::Flush { region: text("eu-west"), cache: cache.map(text), mode },
    };
    let orders = vec![flush(1, Some("varnish"), Mode::Soft), flush(2, None, Mode::Hard)];
    Orders { by: text("publisher-1"), orders }
}

pub(crate) fn orders_about_letters() -> Orders {
    let order = |digit, what| Order {
        id: order(digit),
        at: time("2026-11-21T10:00:00Z"),
        expires_at: time("2026-11-22T10:00:00Z"),
        what,
    };
    let retry = ChosenLetters { ids: vec![letter().letter.id], ..ChosenLetters::default() };
    let dropped = ChosenLetters {
        ids: Vec::new(),
        region: Some(text("eu-west")),
        agent: Some(text("edge-1")),
        cache: Some(text("varnish")),
        site: Some(text("main")),
        text: Some("405".into()),
    };
    let (reason, by) = ("the page is gone".into(), "ops".into());
    let drop = Ordered::Drop { letters: dropped, reason, by };
    let orders = vec![order(3, Ordered::Retry { letters: retry }), order(4, drop)];
    Orders { by: text("publisher-1"), orders }
}

pub(crate) fn orders_to_stop() -> Orders {
    let order = |digit, what| Order {
        id: order(digit),
        at: time("2026-11-21T10:00:00Z"),
        expires_at: time("2026-11-21T10:15:00Z"),
        what,
    };
    let by = || "ops".to_owned();
    let pause = |what, reason: Option<&str>| Ordered::Pause {
        what,
        reason: reason.map(ToOwned::to_owned),
        by: by(),
    };
    let cache =
        |region: Option<&str>| Paused::Cache { cache: text("varnish"), region: region.map(text) };
    let cancel = Ordered::Cancel {
        invalidation: invalidation().id,
        place: Place { line: line(0x11), number: 70_000 },
        priority: Priority::Critical,
        by: by(),
    };
    let orders = [
        pause(Paused::Site(text("main")), Some("a runaway import")),
        pause(Paused::Agent(text("edge-1")), None),
        pause(cache(None), None),
        pause(cache(Some("eu-west")), None),
        pause(Paused::Token("Nightly import".into()), None),
        Ordered::Resume { pause: self::order(1), by: by() },
        cancel,
    ];
    let orders = (5..).zip(orders).map(|(digit, what)| order(digit, what)).collect();
    Orders { by: text("publisher-1"), orders }
}
