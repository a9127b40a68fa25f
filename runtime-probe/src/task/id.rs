//! Conversions and comparisons of tokio's ids and the probe's.

use crate::pprof::TaskId;
use crate::source::foreign::number;
use tokio::task::Id;

impl From<Id> for TaskId {
    fn from(id: Id) -> Self {
        TaskId::from(number(id))
    }
}

impl PartialEq<Id> for TaskId {
    fn eq(&self, id: &Id) -> bool {
        self.as_u64() == number(id)
    }
}

impl PartialEq<TaskId> for Id {
    fn eq(&self, id: &TaskId) -> bool {
        id == self
    }
}
