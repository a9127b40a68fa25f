//! Parses the text of a dump.

use runtime_probe::pprof;

/// The blocks of a dump.
pub struct Dump(pub Vec<Task>);

pub struct Task {
    pub id: u64,
    /// File and line.
    #[allow(dead_code, reason = "each test needs a part of it")]
    pub spawned_at: Option<(String, u32)>,
    pub text: String,
}

impl Dump {
    pub fn take() -> Dump {
        let mut text = Vec::new();
        pprof::lookup("goroutine")
            .unwrap()
            .write_to(&mut text, 2)
            .unwrap();
        let text = String::from_utf8(text).unwrap();
        Dump(text.split("\n\n").filter_map(Task::read).collect())
    }

    pub fn task(&self, id: &str) -> &Task {
        let mut found = self.0.iter().filter(|task| task.id.to_string() == id);
        let task = found.next().unwrap_or_else(|| panic!("no goroutine {id}"));
        assert!(found.next().is_none(), "goroutine {id} twice");
        task
    }
}

impl Task {
    fn read(block: &str) -> Option<Task> {
        // Lines of the dump stand above the line of its first task.
        let above = match block.starts_with("goroutine ") {
            true => "",
            false => &block[..block.find("\ngoroutine ")?],
        };
        let block = &block[above.rfind('\n').map_or(0, |end| end + 1)..];
        let id = block
            .lines()
            .find_map(|line| line.strip_prefix("goroutine "))?;
        let site = block
            .lines()
            .find_map(|line| line.split("spawned at ").nth(1))
            .map(|site| {
                let mut parts = site.trim().split(':');
                let file = parts.next().expect("a file").to_owned();
                (
                    file,
                    parts
                        .next()
                        .and_then(|line| line.parse().ok())
                        .expect("a line"),
                )
            });
        Some(Task {
            id: id.split(' ').next()?.parse().ok()?,
            spawned_at: site,
            text: format!("{}\n", block.trim_end()),
        })
    }
}
