//! The frame.

use bincode::{BorrowDecode, Encode};

use super::invalidation::Invalidation;
use super::line::Line;
use super::time::Time;
use super::{Ext, each_by};
use crate::wire::WireError;
use crate::wire::known::Known;
use crate::{Number, SIGNATURE_BYTES};

#[derive(Debug, Encode, BorrowDecode)]
pub(in crate::wire) struct Frame<'a> {
    publisher: &'a str,
    line: Line,
    first: u64,
    committed_at: Time,
    invalidations: Vec<Invalidation<'a>>,
    signature: Option<[u8; SIGNATURE_BYTES]>,
    ext: Ext<'a>,
}

impl<'a> From<&'a crate::Frame> for Frame<'a> {
    fn from(frame: &'a crate::Frame) -> Self {
        let crate::Frame { publisher, line, first, committed_at, invalidations, signature } = frame;
        Self {
            publisher: publisher.as_str(),
            line: (*line).into(),
            first: *first,
            committed_at: (*committed_at).into(),
            invalidations: invalidations.iter().map(Invalidation::from).collect(),
            signature: *signature,
            ext: Ext::new(),
        }
    }
}

impl Frame<'_> {
    pub(in crate::wire) fn read(self, known: &mut Known) -> Result<crate::Frame, WireError> {
        let Frame { publisher, line, first, committed_at, invalidations, signature, ext: _ } = self;
        if invalidations.is_empty() {
            return Err(WireError::Invalid("a frame without invalidations".into()));
        }
        if first == 0 || first.checked_add(invalidations.len() as Number - 1).is_none() {
            return Err(WireError::Invalid(format!("a frame whose first number is {first}")));
        }
        Ok(crate::Frame {
            publisher: known.publisher(publisher)?,
            line: line.into(),
            first,
            committed_at: committed_at.try_into()?,
            invalidations: each_by(invalidations, |invalidation| invalidation.read(known))?,
            signature,
        })
    }
}
