//! What profiles of waiting have in common: their forms.

use super::mappings::mappings;
use crate::symbol::resolver::Resolver;
use runtime_dump::profile::contention::ContentionProfile;
use runtime_dump::profile::proto;
use runtime_dump::stack::Mapping;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

/// A profile of waiting, with what its binary form says of the process.
pub(crate) struct Contended {
    events: ContentionProfile,
    mappings: Vec<Mapping>,
    time_ns: i64,
}

impl Contended {
    /// As of now.
    pub(super) fn new(
        mut events: ContentionProfile,
        remarks: Vec<String>,
        resolver: &Resolver,
    ) -> Self {
        for remark in remarks {
            events.comment(remark);
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Contended {
            events,
            mappings: mappings(resolver),
            time_ns: now.map_or(0, |now| now.as_nanos() as i64),
        }
    }

    /// The binary form.
    pub(crate) fn profile(&self) -> proto::Profile {
        self.events.to_profile(&self.mappings, self.time_ns)
    }

    /// The form that `debug` says: 0 is the binary one, compressed.
    ///
    /// # Errors
    /// Those of `out`.
    pub(super) fn write(&self, out: &mut dyn Write, debug: u32) -> io::Result<()> {
        match debug {
            0 => out.write_all(&self.profile().to_gzip()),
            _ => self.write_text(out),
        }
    }

    /// What happened since `before`, `span` ago.
    pub(crate) fn since(self, before: &Contended, span: Duration) -> Contended {
        let span = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        Contended {
            events: self.events.since(&before.events, span),
            ..self
        }
    }

    /// The text of `debug=1`.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_text(&self, out: impl Write) -> io::Result<()> {
        super::address_names::remember(self.events.locations());
        self.events.write_text(out)
    }
}
