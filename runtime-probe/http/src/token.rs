//! The token, instead of the check for a loopback address: a request with it is accepted from any address.
//!
//! It comes as `Authorization: Bearer TOKEN` or as the password of `Basic` with any user name, so that `curl -u
//! x:TOKEN` and `go tool pprof http://x:TOKEN@host` work. It is not accepted in the query, which ends up in histories
//! and in the logs of proxies.
//!
//! **It is compared in constant time**: all bytes that were sent are compared, so the time depends on their number
//! only and not on the token. With a comparison that ends at the first difference a patient client could guess byte
//! by byte.
//!
//! **It is never shown.** Its `Debug` hides it, and the command line of the process shows it as asterisks.

use std::fmt;
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};

use super::base64;
use super::refusal::Refusal;
use super::request::Request;

/// 16 random characters of 64 are 96 bits: at a million guesses a second, 10^15 years.
pub const MIN_TOKEN_BYTES: usize = 16;

/// In Basic it is a third longer. A head of 16 KiB must have room for it and all other headers.
pub const MAX_TOKEN_BYTES: usize = 1024;

/// All tokens of this process, for [`conceal`]. They are few. A token that is no longer in use is hidden, too.
static TOKENS: Mutex<Vec<Token>> = Mutex::new(Vec::new());

/// A secret.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// A token of the right length, in characters that a header can have; otherwise a sentence that says so.
    pub fn new(text: String) -> Result<Token, &'static str> {
        if text.is_empty() {
            return Err("the token is empty");
        }
        if text.len() < MIN_TOKEN_BYTES {
            return Err("the token is shorter than 16 characters: it could be guessed");
        }
        if text.len() > MAX_TOKEN_BYTES {
            return Err("the token is longer than 1024 characters");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token has characters other than visible ASCII");
        }
        let token = Token(text.into());
        let mut tokens = TOKENS.lock().unwrap_or_else(PoisonError::into_inner);
        if !tokens.iter().any(|known| known.0 == token.0) {
            tokens.push(token.clone());
        }
        Ok(token)
    }

    /// Whether a request has the token; if not, a `401` that says how to send it.
    pub fn admit(&self, request: &Request) -> Result<(), Refusal> {
        let mut headers = request.header_values("authorization");
        let (header, second) = (headers.next(), headers.next());
        if second.is_some() {
            let sentence = "the request has more than one Authorization";
            return Err(Refusal::bad_request(sentence));
        }
        let Some(header) = header else {
            return Err(unauthorized(
                "a token is wanted here: send it as Authorization: Bearer, or as the password of Basic, as \
                 curl -u x:TOKEN and go tool pprof http://x:TOKEN@... do",
            ));
        };
        match sent(header) {
            Some(sent) if self.matches(&sent) => Ok(()),
            Some(_) => Err(unauthorized("the token is not the right one")),
            None => Err(unauthorized(
                "the Authorization of the request is neither Bearer nor Basic",
            )),
        }
    }

    /// Compares in constant time, see the module.
    fn matches(&self, sent: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let mut difference = u8::from(own.len() != sent.len());
        for (&sent, &own) in sent.iter().zip(own.iter().cycle()) {
            // `black_box` hides the value from the optimizer. Otherwise it could end the loop at the first
            // difference.
            difference = black_box(difference | (sent ^ own));
        }
        difference == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// The same bytes with asterisks in place of every token of this process.
pub fn conceal(bytes: &[u8]) -> Vec<u8> {
    let tokens = TOKENS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut concealed = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, behind)) = rest.split_first() {
        let hits = tokens
            .iter()
            .filter_map(|token| rest.strip_prefix(token.0.as_bytes()));
        // If one token begins with another, the longer one is concealed.
        match hits.min_by_key(|behind| behind.len()) {
            Some(behind) => {
                concealed.extend_from_slice(b"***");
                rest = behind;
            }
            None => {
                concealed.push(first);
                rest = behind;
            }
        }
    }
    concealed
}

/// The secret in an `Authorization`.
fn sent(header: &str) -> Option<Vec<u8>> {
    let (scheme, credentials) = header.trim().split_once(' ')?;
    let credentials = credentials.trim_start();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::decode(credentials)?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    Some(decoded.get(colon + 1..)?.to_vec())
}

fn unauthorized(sentence: &'static str) -> Refusal {
    Refusal::new(401, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct-horse-battery";

    fn token() -> Token {
        Token::new(SECRET.into()).unwrap()
    }

    fn admit(headers: &[&str]) -> Result<(), u16> {
        let headers = headers
            .iter()
            .map(|value| ("Authorization".into(), value.to_string()))
            .collect();
        let request = Request::new("GET", "/", headers, Vec::new()).unwrap();
        token().admit(&request).map_err(|refusal| refusal.status())
    }

    #[test]
    fn bearer_and_the_password_of_basic_are_let_in() {
        for header in [
            "Bearer correct-horse-battery",
            "bearer  correct-horse-battery ",
            // x:, an empty user, and a user of another script
            "Basic eDpjb3JyZWN0LWhvcnNlLWJhdHRlcnk=",
            "BASIC OmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==",
            "Basic w6k6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5",
        ] {
            assert_eq!(admit(&[header]), Ok(()), "{header}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer correct-horse-batterx",
            "Bearer xorrect-horse-battery",
            "Bearer correct-horse-batter",
            "Bearer correct-horse-batteryy",
            "Bearer correct-horse-batterycorrect-horse-battery",
            "correct-horse-battery",
            "Digest correct-horse-battery",
            // The token without a user, as the user, and with a byte more
            "Basic Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5",
            "Basic Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5Og==",
            "Basic eDpjb3JyZWN0LWhvcnNlLWJhdHRlcnkh",
            "Basic correct-horse-battery",
            "Basic ====",
        ] {
            assert_eq!(admit(&[header]), Err(401), "{header}");
        }
        assert_eq!(admit(&[]), Err(401));
        let right = "Bearer correct-horse-battery";
        assert_eq!(admit(&[right, right]), Err(400));
    }

    #[test]
    fn a_token_that_could_be_guessed_or_not_be_sent_is_none() {
        for text in [
            "",
            "123456789012345",
            "1234567890 123456",
            "1234567890123456\n",
            "ééééééééé",
        ] {
            assert!(Token::new(text.into()).is_err(), "{text:?}");
        }
        assert!(Token::new("1".repeat(MAX_TOKEN_BYTES + 1)).is_err());
        assert!(Token::new("1".repeat(MAX_TOKEN_BYTES)).is_ok());
        assert!(Token::new("1234567890123456".into()).is_ok());
    }

    #[test]
    fn it_is_not_shown() {
        assert_eq!(format!("{:?}", token()), "Token(***)");
        let longer = format!("{SECRET}+more");
        Token::new(longer.clone()).unwrap();
        let line = format!("--token={SECRET}\0{longer}\0correct-horse\0é{SECRET}");
        let concealed = String::from_utf8(conceal(line.as_bytes())).unwrap();
        assert_eq!(concealed, "--token=***\0***\0correct-horse\0é***");
    }
}
