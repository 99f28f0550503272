//! Maps whose keys come from the log. They are hashed with secret keys of this process, so that nobody outside can
//! choose some that collide, and several times faster than std's.

use std::collections::HashMap;

/// A map of what came from the log.
pub(crate) type Map<K, V> = HashMap<K, V, ahash::RandomState>;
