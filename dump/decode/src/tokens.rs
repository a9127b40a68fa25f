//! The parents of `CancellationToken`s of tokio_util. A task that waits for a token is notified by the cancellation of a parent, too.
//!
//! A token points to its parent. Each token is read once in a dump, as thousands of tasks may wait for the children of one parent.

use super::Decoder;
use super::memory::Reader;
use super::model::Parent;
use super::numbers::NumberSet;
use super::way::Way;
use crate::debug::index::Die;

/// The type that all clones of a token share.
pub(crate) const NODE: &str = "tokio_util::sync::cancellation_token::tree_node::TreeNode";

/// The most parents of one token.
pub(crate) const MOST_PARENTS: u32 = 64;

/// The tokens of a dump.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    known: NumberSet<u64>,
    pub(crate) parents: Vec<Parent>,
}

/// A token in a value.
#[derive(Clone, Debug)]
pub(crate) struct TokenPart {
    pub(crate) way: Way,
    /// The offset of the `Notify` in the token.
    notify: u64,
    /// The offset of the pointer to the parent, and the offset of the parent behind it.
    parent: (u64, u64),
}

impl TokenPart {
    /// Reads the parents of the token, in a value at `at`.
    pub(crate) fn read(&self, at: u64, reader: &Reader<'_>, tokens: &mut Tokens) {
        let Some(mut token) = self.way.address(at, reader) else {
            return;
        };
        let (pointer, behind) = self.parent;
        for _ in 0..MOST_PARENTS {
            if !tokens.known.insert(token) {
                return;
            }
            let parent = reader.word(token.wrapping_add(pointer));
            let Some(parent) = parent.filter(|parent| *parent != 0) else {
                return;
            };
            let parent = parent.wrapping_add(behind);
            tokens.parents.push(Parent {
                notify: token.wrapping_add(self.notify),
                parent: parent.wrapping_add(self.notify),
            });
            token = parent;
        }
    }

    /// This token at an offset, in a type that contains the token's type there.
    pub(crate) fn at(&self, offset: u64) -> Self {
        let mut part = self.clone();
        part.way.shift(offset);
        part
    }

    /// This token behind a pointer at an offset.
    pub(crate) fn behind(&self, pointer: u64) -> Self {
        let mut part = self.clone();
        part.way.push_pointer(pointer);
        part
    }
}

impl Decoder<'_, '_, '_> {
    /// The `Notify` of a token, and its offset.
    pub(crate) fn notify_of_token(&self, node: Die) -> Option<(u64, Die)> {
        self.types.find_type(node, super::channels::NOTIFY)
    }

    /// The token, if the type is its node.
    pub(crate) fn token(&self, node: Die) -> Option<TokenPart> {
        let types = self.types;
        let (notify, _) = self.notify_of_token(node)?;
        let (parent, option) = types.find(node, "parent")?;
        let (payload, arc) = self.payload(option)?;
        let (peeled, _) = types.peel(arc);
        let (behind, _) = types.find(types.pointee(arc)?, "data")?;
        Some(TokenPart {
            way: Way::here(0),
            notify,
            parent: (parent + payload + peeled, behind),
        })
    }
}
