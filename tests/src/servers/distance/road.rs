//! One direction of a connection: what is on the way, and when it arrives. Knows no clock and no socket.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use tokio::time::Instant;

use super::Way;

/// Bytes on the way at most; whoever sends more waits, as a receiver's window makes him.
pub(super) const WINDOW: usize = 4 << 20;
/// Bytes of a packet.
const PACKET: usize = 1_448;
/// A sender waits so much longer than a round trip before it sends a packet again, and twice as long each further time:
/// what Linux does where no later packet tells it sooner.
const RETRANSMITS_AFTER: Duration = Duration::from_millis(200);
/// Nobody is so unlucky that a packet is lost more often.
const LOSSES_MAX: u32 = 6;

/// What is on the way, in the order sent.
#[derive(Debug)]
pub(super) struct Road {
    under_way: VecDeque<(Instant, Bytes)>,
    bytes: usize,
    /// Nothing arrives before what was sent before it.
    last: Instant,
    rng: Rng,
}

impl Road {
    /// Empty; nothing arrives before `opens`.
    pub(super) fn new(opens: Instant, rng: Rng) -> Self {
        Self { under_way: VecDeque::new(), bytes: 0, last: opens, rng }
    }

    /// Whether more may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < WINDOW
    }

    /// Sends some.
    pub(super) fn send(&mut self, bytes: Bytes, way: Way, now: Instant) {
        let packets = bytes.len().div_ceil(PACKET).max(1);
        let stall = (0..packets).map(|_| self.stall(way)).max().unwrap_or_default();
        let arrives = now + way.one_way + way.jitter.mul_f64(self.rng.f64()) + stall;
        self.last = self.last.max(arrives);
        self.bytes += bytes.len();
        self.under_way.push_back((self.last, bytes));
    }

    /// How long a packet is sent again until one arrives.
    fn stall(&mut self, way: Way) -> Duration {
        let mut stall = Duration::ZERO;
        for losses in 0..LOSSES_MAX {
            if self.rng.f64() >= way.loss {
                break;
            }
            stall += (way.round_trip() + RETRANSMITS_AFTER) * 2_u32.pow(losses);
        }
        stall
    }

    /// When the next arrives.
    pub(super) fn next(&self) -> Option<Instant> {
        self.under_way.front().map(|(arrives, _)| *arrives)
    }

    /// What has arrived by now and was not taken before.
    pub(super) fn arrived(&mut self, now: Instant) -> Option<Bytes> {
        let (_, bytes) = self.under_way.pop_front_if(|(arrives, _)| *arrives <= now)?;
        self.bytes -= bytes.len();
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Duration = Duration::from_millis(100);
    const CLEAR: Way = Way { one_way: FAR, jitter: Duration::ZERO, loss: 0.0 };

    fn road(now: Instant) -> Road {
        Road::new(now, Rng::with_seed(7))
    }

    /// What was sent, when, and when it came.
    struct Carried {
        number: u16,
        sent: Instant,
        arrived: Instant,
    }

    impl Carried {
        fn took(&self) -> Duration {
            self.arrived - self.sent
        }
    }

    /// So many, sent one after the other, in the order in which they came.
    fn carry(way: Way, count: u16, every: Duration) -> Vec<Carried> {
        let began = Instant::now();
        let sent = |number: u16| began + every * u32::from(number);
        let mut road = road(began);
        for number in 0..count {
            road.send(number.to_be_bytes().to_vec().into(), way, sent(number));
        }
        let mut carried = Vec::new();
        while let Some(arrived) = road.next() {
            let bytes = road.arrived(arrived).expect("it is due");
            let number = u16::from_be_bytes(bytes[..].try_into().expect("a number"));
            carried.push(Carried { number, sent: sent(number), arrived });
        }
        carried
    }

    fn is_in_order(carried: &[Carried]) -> bool {
        carried.iter().map(|one| one.number).eq(0..1_000)
            && carried.is_sorted_by_key(|one| one.arrived)
    }

    #[test]
    fn everything_takes_its_time_and_no_longer() {
        let carried = carry(CLEAR, 1_000, Duration::from_millis(1));
        assert!(is_in_order(&carried) && carried.iter().all(|one| one.took() == FAR));
    }

    #[test]
    fn jitter_lengthens_each_by_something_else_and_nothing_overtakes() {
        let jitter = Duration::from_millis(10);
        let carried = carry(Way { jitter, ..CLEAR }, 1_000, Duration::from_millis(1));
        assert!(carried.iter().all(|one| one.took() >= FAR && one.took() <= FAR + jitter));
        assert!(carried.iter().any(|one| one.took() > FAR + jitter.mul_f64(0.9)));
        assert!(carried.iter().any(|one| one.took() < FAR + jitter.mul_f64(0.9)));
        assert!(is_in_order(&carried));
    }

    #[test]
    fn a_lost_packet_costs_a_retransmission_and_holds_up_what_follows() {
        let way = Way { loss: 0.005, ..CLEAR };
        let carried = carry(way, 1_000, Duration::from_millis(10));
        let lost = carried.iter().position(|one| one.took() > FAR).expect("some packet is lost");
        let (lost, next) = (&carried[lost], &carried[lost + 1]);
        assert_eq!(lost.took(), FAR + way.round_trip() + RETRANSMITS_AFTER);
        assert_eq!(next.arrived, lost.arrived, "it comes with the lost one");
        let not_held_up = carried.iter().filter(|one| one.took() == FAR).count();
        assert!(not_held_up > 500 && is_in_order(&carried));
    }

    #[test]
    fn no_more_than_a_window_is_on_the_way() {
        let now = Instant::now();
        let (mut road, megabyte) = (road(now), Bytes::from(vec![0; 1 << 20]));
        while road.has_room() {
            road.send(megabyte.clone(), CLEAR, now);
        }
        assert_eq!(road.bytes, WINDOW);
        assert!(road.arrived(now).is_none() && !road.has_room());
        assert!(road.arrived(now + FAR).is_some() && road.has_room());
    }

    #[test]
    fn nothing_arrives_before_the_road_opens() {
        let now = Instant::now();
        let mut road = Road::new(now + FAR * 4, Rng::with_seed(7));
        road.send(Bytes::from_static(b"early"), CLEAR, now);
        assert_eq!(road.next(), Some(now + FAR * 4));
    }
}
