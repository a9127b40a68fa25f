//! The file of `record`: a tar of files without directories, compressed by zstd. `tar --zstd -xf` reads it, too.

use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::{self, Read};

/// The most bytes that are unpacked.
const MOST: u64 = 1 << 30;

/// One file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn pack(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(entry.bytes.len() as u64);
        // The contents may be secret, so only the owner can read the files.
        header.set_mode(0o600);
        tar.append_data(&mut header, &entry.name, &entry.bytes[..])?;
    }
    Ok(compress_to_vec(
        &tar.into_inner()?[..],
        CompressionLevel::Fastest,
    ))
}

/// Unpacks a bundle. Names that are no plain file names are refused, so that no file is written elsewhere.
pub(super) fn unpack(bytes: &[u8]) -> io::Result<Vec<Entry>> {
    let zstd = StreamingDecoder::new(bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let mut archive = tar::Archive::new(zstd.take(MOST));
    let mut entries = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry
            .path()?
            .to_str()
            .map(str::to_owned)
            .unwrap_or_default();
        let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
        if !is_plain || !entry.header().entry_type().is_file() {
            return Err(io::Error::other(format!("{name:?} is no plain file")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        entries.push(Entry { name, bytes });
    }
    match entries.is_empty() {
        true => Err(io::Error::other("no file is in it")),
        false => Ok(entries),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let entries = [("a.txt", 3), ("b.pb.gz", 70_000)].map(|(name, length)| Entry {
            name: name.to_owned(),
            bytes: vec![7; length],
        });
        assert_eq!(unpack(&pack(&entries).unwrap()).unwrap(), entries);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..7].copy_from_slice(b"../evil");
        header.set_size(0);
        header.set_mode(0o600);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        tar.append(&header, &b""[..]).unwrap();
        let bytes = compress_to_vec(&tar.into_inner().unwrap()[..], CompressionLevel::Fastest);
        assert!(
            unpack(&bytes)
                .unwrap_err()
                .to_string()
                .contains("no plain file")
        );
        assert!(unpack(b"nothing of it").is_err());
        let whole = pack(&[Entry {
            name: "a".to_owned(),
            bytes: vec![1; 9000],
        }])
        .unwrap();
        assert!(unpack(&whole[..whole.len() / 2]).is_err());
    }
}
