//! A screen that is redrawn until the user presses `q`.
//!
//! The screen consists of the terminal's attributes, set by rustix, and a few escapes. ratatui and crossterm would add
//! 30 crates for tables that exist as text anyway.

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

/// A second screen of the terminal. Dropping it restores the first one.
#[derive(Debug)]
pub(crate) struct Screen {
    before: Termios,
}

impl Screen {
    /// Opens the screen. Returns `None` if standard input or output is no terminal.
    pub(crate) fn open() -> Option<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let before = tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        // Keys are read one by one and not echoed. ctrl-c is a key, too, so that the terminal is restored.
        raw.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        // A read ends after 100 ms without a key.
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 1;
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).ok()?;
        let screen = Self { before };
        write("\x1b[?1049h\x1b[?25l");
        Some(screen)
    }

    /// The number of lines.
    pub(crate) fn rows(&self) -> usize {
        self.size().0
    }

    fn size(&self) -> (usize, usize) {
        let size = tcgetwinsize(io::stdout())
            .ok()
            .filter(|size| size.ws_row > 0 && size.ws_col > 0);
        size.map_or((24, 80), |size| {
            (usize::from(size.ws_row), usize::from(size.ws_col))
        })
    }

    /// Shows the first lines of a text, each cut to the width.
    pub(crate) fn draw(&mut self, text: &str) {
        let (rows, columns) = self.size();
        let mut frame = String::from("\x1b[H");
        for line in text.lines().take(rows.saturating_sub(1)) {
            frame.push_str(&cut(line, columns));
            frame.push_str("\x1b[0m\x1b[K\r\n");
        }
        frame.push_str("\x1b[Jq quits");
        write(&frame);
    }

    /// Waits until `due`, or for a key that quits: `q`, escape, ctrl-c. Returns whether such a key was pressed.
    pub(crate) fn quits_before(&mut self, due: Instant) -> bool {
        self.key_before(due, &[]).is_some()
    }

    /// Waits until `due`, for a key that quits or for one of `keys`. All keys that quit are returned as `q`.
    pub(crate) fn key_before(&mut self, due: Instant, keys: &[u8]) -> Option<u8> {
        loop {
            let mut key = [0];
            match io::stdin().lock().read(&mut key) {
                Ok(1) if matches!(key[0], b'q' | 0x1b | 0x03) => return Some(b'q'),
                Ok(1) if keys.contains(&key[0]) => return Some(key[0]),
                Ok(1) => {}
                // A closed terminal returns immediately without a key.
                Ok(_) => std::thread::sleep(Duration::from_millis(5)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Some(b'q'),
            }
            if Instant::now() >= due {
                return None;
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write("\x1b[?25h\x1b[?1049l");
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Cuts a line to a width. Escapes have no width.
fn cut(line: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut width = 0;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '\x1b' {
            out.extend(chars.by_ref().take_while(|c| *c != 'm'));
            out.push('m');
            continue;
        }
        width += 1;
        if width == columns {
            break;
        }
    }
    out
}

fn write(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn escapes_have_no_width() {
        assert_eq!(cut("\x1b[1mabc\x1b[0mdef", 4), "\x1b[1mabc\x1b[0md");
        assert_eq!(cut("abc", 10), "abc");
    }
}
