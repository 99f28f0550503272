//! Who is gone for good.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::line::Line;
use super::time::Time;
use super::word::Priority;
use super::{Ext, ascending, fact};
use crate::wire::WireError;
use crate::{AgentName, LineId, PublisherName};

/// The fact of a retirement's `ext` that says which lines were open, and where.
const OPEN: u16 = 1;

type OpenLines = Vec<(Line, Priority, u32)>;

#[derive(Debug, Encode, BorrowDecode)]
pub(in crate::wire) struct Retirement<'a> {
    retired: Retired<'a>,
    at: Time,
    by: &'a str,
    ext: Ext<'a>,
}

#[derive(Debug, Encode, BorrowDecode)]
enum Retired<'a> {
    Agent { name: &'a str, instances: Vec<([u8; 16], u64)> },
    Publisher { name: &'a str, lines: Vec<(Line, u64)> },
}

impl<'a> From<&'a crate::Retirement> for Retirement<'a> {
    fn from(retirement: &'a crate::Retirement) -> Self {
        let crate::Retirement { retired, at, by } = retirement;
        let mut ext = Ext::new();
        let retired = match retired {
            crate::Retired::Agent { name, instances } => Retired::Agent {
                name: name.as_str(),
                instances: instances.iter().map(|(id, last)| (id.into_bytes(), *last)).collect(),
            },
            crate::Retired::Publisher { name, lines, open } => {
                if !open.is_empty() {
                    ext.push(fact::one(OPEN, &open_lines(open)));
                }
                Retired::Publisher {
                    name: name.as_str(),
                    lines: lines.iter().map(|(line, last)| ((*line).into(), *last)).collect(),
                }
            }
        };
        Self { retired, at: (*at).into(), by: by.as_str(), ext }
    }
}

impl TryFrom<Retirement<'_>> for crate::Retirement {
    type Error = WireError;

    fn try_from(retirement: Retirement<'_>) -> Result<Self, WireError> {
        let Retirement { retired, at, by, ext } = retirement;
        let retired = match retired {
            Retired::Agent { name, instances } => {
                ascending("instances", &instances, |(id, _)| *id)?;
                crate::Retired::Agent {
                    name: AgentName::from_canonical(name)?,
                    instances: instances
                        .into_iter()
                        .map(|(id, last)| (Uuid::from_bytes(id), last))
                        .collect(),
                }
            }
            Retired::Publisher { name, lines } => {
                let lines: Vec<(LineId, u64)> =
                    lines.into_iter().map(|(line, last)| (line.into(), last)).collect();
                ascending("lines", &lines, |(line, _)| *line)?;
                let open = fact::find::<OpenLines>(&ext, OPEN)?.unwrap_or_default();
                let open: Vec<_> = open.into_iter().map(crate::OpenLine::from).collect();
                ascending("open lines", &open, |open| *open)?;
                let name = PublisherName::from_canonical(name)?;
                crate::Retired::Publisher { name, lines, open }
            }
        };
        Ok(Self { retired, at: at.try_into()?, by: PublisherName::from_canonical(by)? })
    }
}

fn open_lines(open: &[crate::OpenLine]) -> OpenLines {
    open.iter().map(|open| (open.line.into(), open.priority.into(), open.partition)).collect()
}

impl From<(Line, Priority, u32)> for crate::OpenLine {
    fn from((line, priority, partition): (Line, Priority, u32)) -> Self {
        Self { line: line.into(), priority: priority.into(), partition }
    }
}
