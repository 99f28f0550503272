//! How many connections there are: in all, and from each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// Bits of an IPv6 address that one subscriber has to himself: 64 of 128.
const SUBSCRIBER: u128 = u128::MAX << 64;

/// The places for connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Places {
    taken: Arc<Mutex<Taken>>,
    in_all: usize,
    per_address: usize,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    address: IpAddr,
}

/// Which bound leaves no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    InAll,
    Address,
}

impl Places {
    pub(super) fn new(in_all: usize, per_address: usize) -> Self {
        Self { taken: Arc::default(), in_all, per_address }
    }

    /// Takes a place for a client of this address.
    pub(super) fn take(&self, address: IpAddr) -> Result<Place, Full> {
        let address = subscriber(address);
        let mut taken = self.taken.lock();
        if taken.in_all >= self.in_all {
            return Err(Full::InAll);
        }
        let of_address = taken.by_address.get(&address).copied().unwrap_or_default();
        if of_address >= self.per_address {
            return Err(Full::Address);
        }
        taken.by_address.insert(address, of_address + 1);
        taken.in_all += 1;
        Ok(Place { taken: Arc::clone(&self.taken), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.in_all -= 1;
        if let Some(of_address) = taken.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: of IPv6 the whole network that a single client may choose from.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & SUBSCRIBER).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_and_no_address_is_remembered_for_nothing() {
        let places = Places::new(3, 2);
        let [one, other, third] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|a| a.parse().unwrap());
        let first = places.take(one).unwrap();
        let second = places.take(one).unwrap();
        assert_eq!(places.take(one).err(), Some(Full::Address));
        let of_other = places.take(other).unwrap();
        assert_eq!(places.take(third).err(), Some(Full::InAll));
        drop(second);
        let again = places.take(one).unwrap();
        drop((first, again, of_other));
        let taken = places.taken.lock();
        assert!(taken.in_all == 0 && taken.by_address.is_empty(), "{taken:?}");
    }

    #[test]
    fn one_who_has_many_addresses_is_one() {
        let places = Places::new(10, 1);
        let take = |address: &str| places.take(address.parse().unwrap());
        let _held = [take("2001:db8::1").unwrap(), take("10.0.0.1").unwrap()];
        assert_eq!(take("2001:db8::ffff:1").err(), Some(Full::Address));
        assert_eq!(take("::ffff:10.0.0.1").err(), Some(Full::Address));
        assert!(take("2001:db8:0:1::1").is_ok());
    }
}
