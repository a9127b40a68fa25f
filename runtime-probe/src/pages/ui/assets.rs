//! The stylesheet, the script and the icon of all pages. They are compiled into the program.

use crate::pages::routes::only;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

/// A file.
pub(super) struct Asset {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
    /// A hash of the text, as part of the address: a browser caches a file by its address.
    version: u64,
}

pub(super) static STYLE: Asset = Asset::new(
    "style.css",
    "text/css; charset=utf-8",
    include_str!("style.css"),
);
pub(super) static SCRIPT: Asset = Asset::new(
    "script.js",
    "text/javascript; charset=utf-8",
    include_str!("script.js"),
);
pub(super) static ICON: Asset = Asset::new("icon.svg", "image/svg+xml", include_str!("icon.svg"));

/// The file of that name.
pub(super) fn find(name: &str) -> Option<&'static Asset> {
    [&STYLE, &SCRIPT, &ICON]
        .into_iter()
        .find(|asset| asset.name == name)
}

impl Asset {
    const fn new(name: &'static str, content_type: &'static str, text: &'static str) -> Asset {
        Asset {
            name,
            content_type,
            text,
            version: fnv_1a(text.as_bytes()),
        }
    }

    /// The address, relative to a page.
    pub(super) fn link(&self) -> String {
        format!("{}?v={:016x}", self.name, self.version)
    }

    pub(super) fn answer(&self, request: &Request) -> Result<Reply, Refusal> {
        only(request, &["v"])?;
        Ok(Reply::new(200, self.content_type, self.text)
            .with_header("Cache-Control", "private, max-age=86400")
            .with_header("Content-Security-Policy", "default-src 'none'"))
    }
}

const fn fnv_1a(bytes: &[u8]) -> u64 {
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn the_script_is_small_and_nothing_is_loaded_from_elsewhere() {
        assert!(SCRIPT.text.len() < 60 << 10, "{}", SCRIPT.text.len());
        for asset in [&STYLE, &SCRIPT] {
            for word in ["http:", "https:", "@import", "eval(", "innerHTML", "url("] {
                assert!(!asset.text.contains(word), "{word} in {}", asset.name);
            }
        }
    }

    /// The contrast by WCAG 2: https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio.
    fn contrast(one: &str, other: &str) -> f64 {
        let luminance = |colour: &str| {
            let part = |at: usize| {
                let part = u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
                let part = f64::from(part) / 255.0;
                match part <= 0.03928 {
                    true => part / 12.92,
                    false => ((part + 0.055) / 1.055).powf(2.4),
                }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// The colours of a scheme: `--name: #rrggbb;` in a block of the stylesheet.
    fn colours(block: &str) -> HashMap<&str, &str> {
        let lines = block.lines().filter_map(|line| {
            let (name, value) = line.trim().strip_prefix("--")?.split_once(": ")?;
            let value = value.strip_suffix(';')?;
            (value.starts_with('#') && value.len() == 7).then_some((name, value))
        });
        lines.collect()
    }

    #[test]
    fn texts_stand_out_as_wcag_aa_demands() {
        let (light, rest) = STYLE.text.split_once("prefers-color-scheme: dark").unwrap();
        let (dark, _) = rest.split_once("/* end of the dark scheme */").unwrap();
        for scheme in [light, dark] {
            let colours = colours(scheme);
            for ground in ["ground", "surface", "raised"] {
                for text in [
                    "ink", "muted", "link", "running", "runnable", "waiting", "bad", "own",
                ] {
                    let ratio = contrast(colours[ground], colours[text]);
                    assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2}");
                }
            }
            let ratio = contrast(colours["accent"], colours["on-accent"]);
            assert!(ratio >= 4.5, "accent: {ratio:.2}");
            for flame in 0..8 {
                let name = format!("flame-{flame}");
                let ratio = contrast(colours[&*name], colours["on-flame"]);
                assert!(ratio >= 4.5, "{name}: {ratio:.2}");
            }
        }
    }
}
