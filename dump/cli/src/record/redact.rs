//! Removal of labels from the files of a bundle. Labels may name tenants and users.

use runtime_dump::profile::proto::Profile;
use std::borrow::Cow;
use std::collections::HashSet;

/// Removes the labels from a file of a bundle.
///
/// # Errors
/// The reason why a profile cannot be decoded.
pub(super) fn without_labels(name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if name.ends_with(".pb.gz") {
        let mut profile = Profile::decode(&bytes).map_err(|error| error.to_string())?;
        strip(&mut profile);
        return Ok(profile.to_gzip());
    }
    if name.ends_with(".txt") {
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.split_inclusive('\n').map(line);
        return Ok(lines.collect::<String>().into_bytes());
    }
    Ok(bytes)
}

/// Removes the labels of all samples, the server's own included, because a program may use their keys. Texts that only
/// labels used are emptied.
fn strip(profile: &mut Profile) {
    for sample in &mut profile.sample {
        sample.label.clear();
    }
    let mut used: HashSet<i64> = HashSet::new();
    for kind in profile.sample_type.iter().chain(&profile.period_type) {
        used.extend([kind.r#type, kind.unit]);
    }
    for mapping in &profile.mapping {
        used.extend([mapping.filename, mapping.build_id]);
    }
    for function in &profile.function {
        used.extend([function.name, function.system_name, function.filename]);
    }
    used.extend(&profile.comment);
    used.extend([
        profile.drop_frames,
        profile.keep_frames,
        profile.default_sample_type,
        profile.doc_url,
    ]);
    for (number, text) in (0..).zip(&mut profile.string_table) {
        if !used.contains(&number) {
            text.clear();
        }
    }
}

/// Removes the labels from a line: a line of labels becomes empty, the header of a task loses the part after its
/// brackets.
fn line(line: &str) -> Cow<'_, str> {
    if line.starts_with("# labels: {") {
        return Cow::Borrowed("");
    }
    let labels = line
        .starts_with("goroutine ")
        .then(|| Some((line.find("] {")?, line.rfind("}:")?)))
        .flatten();
    match labels {
        Some((begin, end)) if begin < end => {
            let (before, after) = (&line[..=begin], &line[end + 1..]);
            Cow::Owned([before, after].concat())
        }
        _ => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_dump::profile::proto::{Function, Label, Sample};

    #[test]
    fn a_text_keeps_what_is_no_label() {
        let text = "# one\ngoroutine 7 [sleep, 2 minutes] {route: \"a] {b}:\", tenant: acme}:\napp::main()\n\n\
                    goroutine 8 [select]:\n\n1 @ 0x1\n# labels: {\"tenant\":\"acme\"}\n#\t0x1\tapp::main\n";
        let bytes = without_labels("before.txt", text.as_bytes().to_vec()).unwrap();
        let expected = "# one\ngoroutine 7 [sleep, 2 minutes]:\napp::main()\n\ngoroutine 8 [select]:\n\n1 @ 0x1\n#\t0x1\tapp::main\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn a_profile_keeps_what_is_no_label() {
        let mut profile = Profile {
            string_table: ["", "app::main", "tenant", "acme"]
                .map(str::to_owned)
                .into(),
            function: vec![Function {
                id: 1,
                name: 1,
                ..Function::default()
            }],
            sample: vec![Sample {
                value: vec![7],
                label: vec![Label {
                    key: 2,
                    str: 3,
                    ..Label::default()
                }],
                ..Sample::default()
            }],
            ..Profile::default()
        };
        let bytes = without_labels("cpu.pb.gz", profile.to_gzip()).unwrap();
        profile.sample[0].label.clear();
        profile.string_table = ["", "app::main", "", ""].map(str::to_owned).into();
        assert_eq!(Profile::decode(&bytes).unwrap(), profile);
        assert!(without_labels("cpu.pb.gz", b"no profile".to_vec()).is_err());
    }
}
