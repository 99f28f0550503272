//! Who is gone for good.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::line::Line;
use super::time::Time;
use super::{Ext, ascending};
use crate::wire::WireError;
use crate::{AgentName, LineId, PublisherName};

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
        let retired = match retired {
            crate::Retired::Agent { name, instances } => Retired::Agent {
                name: name.as_str(),
                instances: instances.iter().map(|(id, last)| (id.into_bytes(), *last)).collect(),
            },
            crate::Retired::Publisher { name, lines } => Retired::Publisher {
                name: name.as_str(),
                lines: lines.iter().map(|(line, last)| ((*line).into(), *last)).collect(),
            },
        };
        Self { retired, at: (*at).into(), by: by.as_str(), ext: Ext::new() }
    }
}

impl TryFrom<Retirement<'_>> for crate::Retirement {
    type Error = WireError;

    fn try_from(retirement: Retirement<'_>) -> Result<Self, WireError> {
        let Retirement { retired, at, by, ext: _ } = retirement;
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
                crate::Retired::Publisher { name: PublisherName::from_canonical(name)?, lines }
            }
        };
        Ok(Self { retired, at: at.try_into()?, by: PublisherName::from_canonical(by)? })
    }
}
