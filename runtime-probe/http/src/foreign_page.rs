//! Requests that a web page of another site makes a browser send.
//!
//! Such a page cannot read the answer, but the request alone can do harm: `fresh=1` wakes tasks, `rate=1` makes every
//! wait slower for an hour, and the browser adds a password that it knows. Browsers say in each request what caused
//! it (`Sec-Fetch-Site`, in all of them since 2023). Other programs do not send this header and are not affected.
//!
//! Browsers send the header to loopback addresses, `localhost` and https only. At an address that others reach by
//! plain http neither this check nor the token (once the browser knows it) protects; a tunnel does.

use super::refusal::Refusal;
use super::request::Request;

/// Admits every request that no page of another site caused. A person who follows a link there is admitted, too.
pub(super) fn admit(request: &Request) -> Result<(), Refusal> {
    let says = |name, what: &str| {
        let mut values = request.header_values(name);
        values.any(|value| value.eq_ignore_ascii_case(what))
    };
    let follows_a_link = says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document");
    if says("sec-fetch-site", "cross-site") && !follows_a_link {
        return Err(Refusal::new(
            403,
            "a web page of another site may link to this address, but not ask it",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(site: &str, mode: &str, dest: &str) -> Result<(), u16> {
        let headers = [
            ("Sec-Fetch-Site", site),
            ("Sec-Fetch-Mode", mode),
            ("Sec-Fetch-Dest", dest),
        ];
        let headers = headers
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let request = Request::new("GET", "/", headers, Vec::new()).unwrap();
        super::admit(&request).map_err(|refusal| refusal.status())
    }

    #[test]
    fn a_page_of_another_site_links_and_does_not_ask() {
        for (mode, dest) in [
            ("no-cors", "image"),
            ("cors", "empty"),
            ("navigate", "iframe"),
            ("", ""),
        ] {
            assert_eq!(admit("cross-site", mode, dest), Err(403), "{mode} {dest}");
        }
        assert_eq!(admit("cross-site", "navigate", "document"), Ok(()));
    }

    #[test]
    fn people_and_programs_are_let_in() {
        for site in ["none", "same-origin", "same-site", ""] {
            assert_eq!(admit(site, "no-cors", "image"), Ok(()), "{site}");
        }
    }
}
