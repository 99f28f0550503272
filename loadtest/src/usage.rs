//! What this process and everything that it started use: CPU time and memory, from the kernel's books.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context;

/// The kernel's books count in hundredths of a second, whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time so far, by the name of the process.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cpu(BTreeMap<String, f64>);

/// One line of `/proc/PID/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    name: String,
    parent: u32,
    seconds: f64,
}

impl Cpu {
    /// What this process and its descendants have used by now.
    pub(crate) fn now() -> anyhow::Result<Self> {
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
        Ok(Self::of_family(&known, std::process::id()))
    }

    fn of_family(known: &BTreeMap<u32, Stat>, root: u32) -> Self {
        let mut used = BTreeMap::new();
        for (process, stat) in known {
            let ancestors = std::iter::successors(Some(*process), |process| {
                known.get(process).map(|stat| stat.parent)
            });
            if ancestors.take(known.len() + 1).any(|ancestor| ancestor == root) {
                *used.entry(stat.name.clone()).or_default() += stat.seconds;
            }
        }
        Self(used)
    }

    /// What was used since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = |name: &String| earlier.0.get(name).copied().unwrap_or(0.0);
        Self(self.0.iter().map(|(name, now)| (name.clone(), now - before(name))).collect())
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

/// Resident memory of a process in bytes.
pub(crate) fn resident(process: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.context("no VmRSS")?.trim().trim_end_matches(" kB").parse::<u64>()?;
    Ok(kibibytes * 1024)
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
        let used = Cpu::of_family(&known, 5).microseconds_each(1_000_000);
        let expected = [("root".to_owned(), 1.0), ("broker".to_owned(), 2.0)];
        assert_eq!(used, BTreeMap::from(expected));
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
