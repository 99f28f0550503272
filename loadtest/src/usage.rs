//! What this process and everything that it started use: CPU time and memory, from the kernel's books.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context;

/// The kernel's books count in hundredths of a second, whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// The one program that plays several parts, which its first argument names.
const BINARY: &str = "purgebus";

/// CPU time so far, by the name of the process.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cpu(BTreeMap<String, f64>);

/// The most resident memory that processes have had, and their CPU time, whether or not they still live.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spent {
    peaks: BTreeMap<String, u64>,
    seconds: BTreeMap<(u32, String), f64>,
}

/// One line of `/proc/PID/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    name: String,
    parent: u32,
    seconds: f64,
}

/// This process and its descendants.
fn family() -> anyhow::Result<Vec<(u32, Stat)>> {
    let mut known = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // One that has just ended has no line any more.
        let line = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        known.extend(Stat::parse(&line).map(|stat| (process, stat)));
    }
    let mut family = family_of(known, std::process::id());
    for (process, stat) in family.iter_mut().filter(|(_, stat)| stat.name == BINARY) {
        let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        if let Some(verb) = line.split('\0').nth(1) {
            stat.name = format!("{BINARY} {verb}");
        }
    }
    Ok(family)
}

fn family_of(known: BTreeMap<u32, Stat>, root: u32) -> Vec<(u32, Stat)> {
    let parents: BTreeMap<u32, u32> =
        known.iter().map(|(process, stat)| (*process, stat.parent)).collect();
    let belongs = |process: u32| {
        let ancestors =
            std::iter::successors(Some(process), |process| parents.get(process).copied());
        ancestors.take(parents.len() + 1).any(|ancestor| ancestor == root)
    };
    known.into_iter().filter(|(process, _)| belongs(*process)).collect()
}

impl Cpu {
    /// What this process and its descendants have used by now.
    pub(crate) fn now() -> anyhow::Result<Self> {
        Ok(Self::of(family()?))
    }

    fn of(family: Vec<(u32, Stat)>) -> Self {
        let mut used = BTreeMap::new();
        for (_, stat) in family {
            *used.entry(stat.name).or_default() += stat.seconds;
        }
        Self(used)
    }

    /// Seconds of the processes of that name.
    pub(crate) fn seconds(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// What was used since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = |name: &String| earlier.0.get(name).copied().unwrap_or(0.0);
        // Of those that have ended since, nothing is known any more.
        let used = |name: &String, now: f64| (now - before(name)).max(0.0);
        Self(self.0.iter().map(|(name, now)| (name.clone(), used(name, *now))).collect())
    }

    /// Microseconds for each of `count`, by process, without those that used none.
    pub(crate) fn microseconds_each(&self, count: u64) -> BTreeMap<String, f64> {
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let each = |seconds: f64| (seconds * 1e6 / count.max(1) as f64 * 10.0).round() / 10.0;
        let used = self.0.iter().map(|(name, seconds)| (name.clone(), each(*seconds)));
        used.filter(|(_, each)| *each > 0.0).collect()
    }
}

impl Stat {
    /// The name stands in parentheses, and may hold any of them.
    fn parse(line: &str) -> Option<Self> {
        let (head, tail) = line.rsplit_once(") ")?;
        let (_, name) = head.split_once(" (")?;
        let fields: Vec<&str> = tail.split(' ').collect();
        let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
        let seconds = (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND;
        Some(Self { name: name.to_owned(), parent: fields.get(1)?.parse().ok()?, seconds })
    }
}

impl Spent {
    /// Looks at every process that there is now. The kernel keeps the books of each for as long as it lives.
    pub(crate) fn look(&mut self) -> anyhow::Result<()> {
        for (process, stat) in family()? {
            // One that has just ended has no memory any more.
            if let Ok(peak) = peak(process) {
                let most = self.peaks.entry(stat.name.clone()).or_default();
                *most = peak.max(*most);
            }
            self.seconds.insert((process, stat.name), stat.seconds);
        }
        Ok(())
    }

    /// Memory in bytes, by the name of the process; of namesakes the largest.
    pub(crate) fn peaks(&self) -> &BTreeMap<String, u64> {
        &self.peaks
    }

    /// CPU time in seconds, by the name of the process; that of namesakes added up.
    pub(crate) fn seconds(&self) -> BTreeMap<&str, f64> {
        let mut all: BTreeMap<&str, f64> = BTreeMap::new();
        for ((_, name), seconds) in &self.seconds {
            let sum = all.entry(name).or_default();
            *sum = ((*sum + seconds) * TICKS_PER_SECOND).round() / TICKS_PER_SECOND;
        }
        all
    }
}

/// Resident memory of a process in bytes.
pub(crate) fn resident(process: u32) -> anyhow::Result<u64> {
    memory(process, "VmRSS:")
}

/// The most resident memory that a process ever had, in bytes.
pub(crate) fn peak(process: u32) -> anyhow::Result<u64> {
    memory(process, "VmHWM:")
}

fn memory(process: u32, line: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let found = status.lines().find_map(|found| found.strip_prefix(line));
    let kibibytes = found.with_context(|| format!("no {line}"))?.trim();
    Ok(kibibytes.trim_end_matches(" kB").parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(line: &str) -> Stat {
        Stat::parse(line).expect("a line of the kernel")
    }

    #[test]
    fn a_name_may_hold_parentheses_and_spaces() {
        let line = "7 (a (b) c) S 3 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 0 0 0";
        assert_eq!(stat(line), Stat { name: "a (b) c".to_owned(), parent: 3, seconds: 2.0 });
    }

    #[test]
    fn only_the_family_counts_and_namesakes_add_up() {
        let line = |process: u32, name: &str, parent: u32| {
            let line = format!("{process} ({name}) S {parent} 0 0 0 -1 0 0 0 0 0 100 0 0 0 20 0");
            (process, stat(&line))
        };
        let known = [line(1, "init", 0), line(5, "root", 1), line(6, "broker", 5)];
        let grandchild = [line(7, "broker", 6), line(8, "stranger", 1)];
        let known = known.into_iter().chain(grandchild).collect();
        let used = Cpu::of(family_of(known, 5)).microseconds_each(1_000_000);
        let expected = [("root".to_owned(), 1.0), ("broker".to_owned(), 2.0)];
        assert_eq!(used, BTreeMap::from(expected));
    }

    #[test]
    fn what_has_ended_has_used_nothing_since() {
        let at = |seconds| Cpu(BTreeMap::from([("broker".to_owned(), seconds)]));
        assert!(at(1.0).since(&at(3.0)).microseconds_each(1).is_empty());
        assert!((at(3.0).since(&at(1.0)).seconds("broker") - 2.0).abs() < 1e-9);
        assert!(at(3.0).seconds("nobody").abs() < 1e-9);
    }

    #[test]
    fn a_peak_is_no_less_than_what_is_there() {
        let mut spent = Spent::default();
        spent.look().expect("the kernel's books");
        let most = spent.peaks().values().max().copied().expect("this process at least");
        assert!(most >= resident(std::process::id()).expect("memory") / 2);
    }

    #[test]
    fn the_dead_have_spent_what_they_had_and_namesakes_add_up() {
        let of = |process: u32, seconds: f64| ((process, "broker".to_owned()), seconds);
        let seconds = BTreeMap::from([of(1, 1.25), of(2, 2.5)]);
        let spent = Spent { seconds, ..Spent::default() };
        assert_eq!(spent.seconds(), BTreeMap::from([("broker", 3.75)]));
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let before = Cpu::now().expect("the kernel's books");
        let mut sum = 0_u64;
        while Cpu::now().expect("books").since(&before).microseconds_each(1).is_empty() {
            sum = sum.wrapping_add(fastrand::u64(..));
        }
        assert!(resident(std::process::id()).expect("memory") > 1 << 20, "{sum}");
    }
}
