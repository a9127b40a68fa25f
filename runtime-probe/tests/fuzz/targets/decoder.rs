//! Arbitrary bytes as a profile: the decoder refuses them, or decodes them. A decoded profile is encoded and decoded
//! again without a change.
#![no_main]

use dump::profile::folded::fold;
use dump::profile::proto::Profile;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    match Profile::decode(bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(profile) => {
            let again = Profile::decode(&profile.encode_to_vec()).expect("a profile of ours");
            assert_eq!(again, profile);
            for measure in 0..=profile.sample_type.len().min(3) {
                // Lines of `root;...;leaf 12`, and comments.
                for line in fold(&profile, measure).lines() {
                    let count = line
                        .rsplit_once(' ')
                        .map(|(_, count)| count.parse::<i128>());
                    assert!(
                        line.starts_with("# ") || matches!(count, Some(Ok(_))),
                        "{line:?}"
                    );
                }
            }
        }
    }
});
