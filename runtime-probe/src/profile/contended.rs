//! The forms that the block and the mutex profile share.

use super::mappings::mappings;
use crate::symbol::resolver::Resolver;
use runtime_dump::profile::contention::ContentionProfile;
use runtime_dump::profile::proto;
use runtime_dump::stack::Mapping;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

/// The block or the mutex profile, with the mappings of the process.
pub(crate) struct Contended {
    events: ContentionProfile,
    mappings: Vec<Mapping>,
    time_ns: i64,
}

impl Contended {
    /// A profile as of now.
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

    /// Writes the form of `debug`: 0 is the compressed binary form, others are text.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(super) fn write(&self, out: &mut dyn Write, debug: u32) -> io::Result<()> {
        match debug {
            0 => out.write_all(&self.profile().to_gzip()),
            _ => self.write_text(out),
        }
    }

    /// The difference to `before`, `span` ago.
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
    /// The errors of `out`.
    pub(crate) fn write_text(&self, out: impl Write) -> io::Result<()> {
        super::address_names::remember(self.events.locations());
        self.events.write_text(out)
    }
}
