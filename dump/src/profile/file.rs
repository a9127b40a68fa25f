//! The bytes of profiles, as `go tool pprof` loads them and a server sends them.

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use prost::Message;

use crate::profile::proto::Profile;

/// The largest profile that is read, before compression. Usual ones have a few MiB; a file of 64 KiB can unpack to this
/// size. A profile takes more memory when decoded: an empty sample has 2 bytes in a file and 72 in memory, so hostile
/// bytes of this size take 2.3 GiB.
pub const MAX_PROFILE_BYTES: usize = 64 << 20;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

impl Profile {
    /// Encodes the profile as a gzip member, at Go's level of compression: the profiled program spends the time.
    pub fn to_gzip(&self) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let written = gzip
            .write_all(&self.encode_to_vec())
            .and_then(|()| gzip.finish());
        written.expect("writing to a Vec does not fail")
    }

    /// Reads a profile, compressed or not. Never panics, on any input.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProfileError> {
        if !bytes.starts_with(&GZIP_MAGIC) {
            return Self::decode_message(bytes);
        }
        let mut message = Vec::new();
        let bound = MAX_PROFILE_BYTES as u64 + 1;
        MultiGzDecoder::new(bytes)
            .take(bound)
            .read_to_end(&mut message)
            .map_err(Cause::Gzip)?;
        Self::decode_message(&message)
    }

    fn decode_message(message: &[u8]) -> Result<Self, ProfileError> {
        if message.len() > MAX_PROFILE_BYTES {
            return Err(Cause::TooLarge.into());
        }
        Ok(<Self as Message>::decode(message).map_err(Cause::Message)?)
    }
}

/// The reason why bytes are not a profile.
#[derive(Debug)]
pub struct ProfileError(Cause);

#[derive(Debug)]
enum Cause {
    Gzip(io::Error),
    TooLarge,
    Message(prost::DecodeError),
}

impl From<Cause> for ProfileError {
    fn from(cause: Cause) -> Self {
        Self(cause)
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Gzip(_) => f.write_str("not a gzip file, or a damaged one"),
            Cause::TooLarge => write!(f, "larger than {MAX_PROFILE_BYTES} bytes"),
            Cause::Message(_) => f.write_str("not a profile.proto message"),
        }
    }
}

impl Error for ProfileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Cause::Gzip(error) => Some(error),
            Cause::TooLarge => None,
            Cause::Message(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_refused() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&vec![0; MAX_PROFILE_BYTES + 1]).unwrap();
        let error = Profile::decode(&gzip.finish().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "larger than 67108864 bytes");
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let profile = Profile {
            string_table: vec![String::new(), "x".repeat(1000)],
            ..Profile::default()
        };
        let bytes = profile.to_gzip();
        assert_eq!(Profile::decode(&bytes).unwrap(), profile);
        let error = Profile::decode(&bytes[..bytes.len() / 2]).unwrap_err();
        assert_eq!(error.to_string(), "not a gzip file, or a damaged one");
        let error = Profile::decode(b"goroutine profile: total 1\n").unwrap_err();
        assert_eq!(error.to_string(), "not a profile.proto message");
    }
}
