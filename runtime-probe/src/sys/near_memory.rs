//! Copies of many short pieces of this process's memory. Pieces that lie near each other are copied together, since
//! each piece costs the kernel more than the bytes between two pieces. No address faults.

use super::own_memory::{MOST_PIECES, read_pieces};

const WORD: usize = size_of::<usize>();
/// Pieces nearer than this are copied as one: no unreadable page can lie between them.
const NEAR: usize = 4096;
/// The longest copy: if it fails, few pieces fail with it.
const LONGEST: usize = 64 << 10;

/// Copies that words are taken from.
#[derive(Debug, Default)]
pub(crate) struct NearMemory {
    /// (address, words from there), in the order of the addresses.
    runs: Vec<(usize, usize)>,
    /// Where each run begins in `words`.
    places: Vec<usize>,
    words: Vec<usize>,
}

/// `N` words from each address as they are now; `None` if they cannot be read.
pub(crate) fn now<const N: usize>(addresses: &[usize]) -> Vec<Option<[usize; N]>> {
    NearMemory::default().each(addresses)
}

impl NearMemory {
    /// Copies the word at each address, and the words between near ones. The addresses MUST be sorted.
    pub(crate) fn copy(addresses: &[usize]) -> Self {
        let mut copies = NearMemory::default();
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for address in addresses.iter().map(|address| address & !(WORD - 1)) {
            let Some(end) = address.checked_add(WORD) else {
                continue;
            };
            match runs.last_mut() {
                Some((begin, words))
                    if address >= *begin
                        && address < *begin + *words * WORD + NEAR
                        && end - *begin <= LONGEST =>
                {
                    *words = (*words).max((end - *begin) / WORD);
                }
                _ => runs.push((address, 1)),
            }
        }
        let mut rest = &runs[..];
        while !rest.is_empty() {
            let some = &rest[..rest.len().min(MOST_PIECES)];
            let wanted: usize = some.iter().map(|(_, words)| words).sum();
            let at = copies.words.len();
            copies.words.resize(at + wanted, 0);
            let mut copied = read_pieces(some, &mut copies.words[at..]);
            copies.words.truncate(at + copied);
            let (mut place, mut whole) = (at, 0);
            for run in some {
                if copied < run.1 {
                    break;
                }
                copied -= run.1;
                copies.runs.push(*run);
                copies.places.push(place);
                place += run.1;
                whole += 1;
            }
            // A run that could not be read is left out.
            rest = &rest[(whole + usize::from(whole < some.len())).min(rest.len())..];
        }
        copies
    }

    /// `N` words from each address; `None` if they cannot be read. Words that are not among the copies are copied now.
    pub(crate) fn each<const N: usize>(&self, addresses: &[usize]) -> Vec<Option<[usize; N]>> {
        let mut found: Vec<_> = addresses
            .iter()
            .map(|address| self.find(*address))
            .collect();
        let missing = found
            .iter()
            .enumerate()
            .filter(|(_, found)| found.is_none());
        let missing: Vec<usize> = missing.map(|(at, _)| at).collect();
        let mut rest = &missing[..];
        while !rest.is_empty() {
            let some = &rest[..rest.len().min(MOST_PIECES)];
            let pieces: Vec<_> = some.iter().map(|at| (addresses[*at], N)).collect();
            let mut words = vec![[0; N]; some.len()];
            let whole = read_pieces(&pieces, words.as_flattened_mut()) / N;
            for (at, words) in some.iter().zip(words).take(whole) {
                found[*at] = Some(words);
            }
            rest = &rest[(whole + usize::from(whole < some.len())).min(rest.len())..];
        }
        found
    }

    fn find<const N: usize>(&self, address: usize) -> Option<[usize; N]> {
        let run = self
            .runs
            .partition_point(|(begin, _)| *begin <= address)
            .checked_sub(1)?;
        let (begin, words) = self.runs[run];
        let distance = address.checked_sub(begin)?;
        let first = distance / WORD;
        if !distance.is_multiple_of(WORD) || first + N > words {
            return None;
        }
        let first = self.places[run] + first;
        self.words[first..first + N].try_into().ok()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn near_pieces_and_far_ones_are_what_is_there() {
        let words: Vec<usize> = (0..60_000).collect();
        let at = |word: usize| words[word..].as_ptr().addr();
        // Near and far pieces, and an unreadable one between them.
        let mut addresses: Vec<usize> = (0..9000).map(|piece| at(5 * piece)).collect();
        addresses.extend([at(50_000), at(58_000)]);
        addresses.insert(0, 8);
        let copies = NearMemory::copy(&addresses);
        assert!(copies.runs.len() < 12, "{:?}", copies.runs);
        let mut asked = addresses.clone();
        asked.extend([at(59_990), usize::MAX - 7]);
        let found = copies.each::<2>(&asked);
        for (address, found) in asked.iter().zip(found) {
            let first = address.wrapping_sub(at(0)) / WORD;
            let there = (*address != 8 && *address < usize::MAX - 8).then_some([first, first + 1]);
            assert_eq!(found, there);
        }
        assert_eq!(now::<3>(&[at(7)]), [Some([7, 8, 9])]);
        assert_eq!(copies.each::<2>(&[]), []);
    }

    #[test]
    fn words_are_read_wherever_they_are() {
        let own: Vec<usize> = (0..100).collect();
        let mut addresses: Vec<usize> = own.iter().map(|word| (&raw const *word).addr()).collect();
        let mut expected: Vec<Option<[usize; 1]>> = (0..100).map(|word| Some([word])).collect();
        for at in [0, 7, 8, 50, 99] {
            (addresses[at], expected[at]) = (8, None);
        }
        assert_eq!(now(&addresses), expected);
        assert_eq!(now::<1>(&[]), []);
    }

    #[test]
    fn addresses_in_any_order_are_read() {
        let words: Vec<usize> = (0..3000).collect();
        let addresses: Vec<usize> = (0..2999)
            .rev()
            .map(|word| words[word..].as_ptr().addr())
            .collect();
        let found = NearMemory::copy(&addresses).each::<2>(&addresses);
        assert!(
            found
                .into_iter()
                .rev()
                .enumerate()
                .all(|(at, found)| found == Some([at, at + 1]))
        );
    }
}
