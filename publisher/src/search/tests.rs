//! Two publishers on one log, each answering for what the other accepted.
