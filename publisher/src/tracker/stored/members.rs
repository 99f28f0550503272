//! Retirements and publishers, to and from the store.

use jiff::Timestamp;
use schemas::{BoardMessage, Retired, Retirement};

use super::{PublisherRow, RetirementRow, Unstored};
use crate::tracker::Tracker;
use crate::tracker::publishers::{Known, RetiredPublisher};
use crate::tracker::retired::RetiredAgent;

impl Tracker {
    /// Adds what has changed since this was last asked.
    pub(super) fn take_unstored_members(&mut self, unstored: &mut Unstored) {
        for (name, retired) in self.retired_agents.iter_mut().filter(|(_, known)| known.unstored) {
            retired.unstored = false;
            let instances = retired.instances.iter().map(|(id, last)| (*id, *last)).collect();
            let RetiredAgent { at, by, returned_at, .. } = retired;
            let retired = Retired::Agent { name: name.clone(), instances };
            unstored.retirements.push(row(retired, *at, by.clone(), *returned_at));
        }
        for (name, known) in self.publishers.iter_mut().filter(|(_, known)| known.unstored) {
            known.unstored = false;
            if let Some(RetiredPublisher { at, by, lines, open, returned_at }) = &known.retired {
                let lines = lines.iter().map(|(line, last)| (*line, *last)).collect();
                let open = open.clone();
                let retired = Retired::Publisher { name: name.clone(), lines, open };
                unstored.retirements.push(row(retired, *at, by.clone(), *returned_at));
            }
            let heard_at = known.heard_at;
            let incarnation = known.incarnation.clone();
            unstored
                .publishers
                .extend(incarnation.map(|incarnation| PublisherRow { incarnation, heard_at }));
        }
        let agents = self.retired_agents.forgotten.drain(..);
        unstored.forgotten_retirements.extend(agents.map(|name| agent_key(&name)));
        let publishers = self.publishers.forgotten.drain(..);
        unstored.forgotten_publishers.extend(publishers);
    }

    /// Takes back what was stored.
    pub(super) fn restore_members(
        &mut self,
        retirements: Vec<RetirementRow>,
        publishers: Vec<PublisherRow>,
    ) {
        let mut known = std::collections::BTreeMap::<_, Known>::new();
        for PublisherRow { incarnation, heard_at } in publishers {
            let publisher = known.entry(incarnation.publisher.clone()).or_default();
            publisher.learn_heads(&incarnation.closes);
            let open: Vec<_> = incarnation.lines.iter().map(|line| (*line, 0)).collect();
            publisher.learn_heads(&open);
            (publisher.incarnation, publisher.heard_at) = (Some(incarnation), heard_at);
        }
        for RetirementRow { retirement: Retirement { retired, at, by }, returned_at } in retirements
        {
            match retired {
                Retired::Agent { name, instances } => {
                    let instances = instances.into_iter().collect();
                    let retired = RetiredAgent { at, by, instances, returned_at, unstored: false };
                    self.retired_agents.restore(name, retired);
                }
                Retired::Publisher { name, lines, open } => {
                    let publisher = known.entry(name).or_default();
                    publisher.learn_heads(&lines);
                    let lines = lines.into_iter().collect();
                    publisher.retired = Some(RetiredPublisher { at, by, lines, open, returned_at });
                }
            }
        }
        for (name, known) in known {
            self.publishers.restore(name, known);
        }
    }
}

fn row(
    retired: Retired,
    at: Timestamp,
    by: schemas::PublisherName,
    returned_at: Option<Timestamp>,
) -> RetirementRow {
    RetirementRow { retirement: Retirement { retired, at, by }, returned_at }
}

/// The key under which an agent's retirement stands, on the board and in the store.
fn agent_key(name: &schemas::AgentName) -> String {
    let retired = Retired::Agent { name: name.clone(), instances: Vec::new() };
    let by = "nobody".parse().expect("a plain word is a name");
    BoardMessage::Retirement(Retirement { retired, at: Timestamp::UNIX_EPOCH, by }).key()
}
