//! Signed return addresses (aarch64's pointer authentication): the bits of a word that are the address.
//!
//! Code built with `-mbranch-protection` (many distributions' libc is) signs a return address before it stores it. The
//! signature is in the bits above the address space, which are 0 in every address of a program: from bit 48 on, or with
//! 52-bit addresses from bit 52 on. No system call tells the width of the address space, but the modules show it: a
//! mask with all bits of the highest code address contains no bit of a signature. Without signatures the mask changes
//! no address, so the processor's features need not be known.
//!
//! On other architectures a word is the address, at no cost.

#[cfg(target_arch = "aarch64")]
use std::sync::atomic::{AtomicU64, Ordering};

/// The bits of addresses. All bits, until the modules are known.
#[cfg(target_arch = "aarch64")]
static ADDRESS_BITS: AtomicU64 = AtomicU64::new(u64::MAX);

/// The bits of addresses up to `highest`.
#[cfg(any(target_arch = "aarch64", test))]
fn bits_up_to(highest: u64) -> u64 {
    match highest {
        0 => u64::MAX,
        highest => u64::MAX >> highest.leading_zeros(),
    }
}

/// Code reaches up to `highest`. Later calls only widen the mask.
#[cfg_attr(not(target_arch = "aarch64"), allow(unused_variables))]
pub(crate) fn code_reaches(highest: u64) {
    #[cfg(target_arch = "aarch64")]
    if highest != 0 {
        let raise = |known| match known {
            u64::MAX => Some(bits_up_to(highest)),
            known => Some(known | bits_up_to(highest)),
        };
        // Relaxed: each value is a correct mask for some set of modules.
        let _ = ADDRESS_BITS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raise);
    }
}

/// The bits of an address.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) fn address_bits() -> u64 {
    ADDRESS_BITS.load(Ordering::Relaxed)
}

/// The code address in a word of the stack.
#[inline(always)]
pub(crate) fn strip(word: usize) -> usize {
    #[cfg(target_arch = "aarch64")]
    {
        word & address_bits() as usize
    }
    #[cfg(not(target_arch = "aarch64"))]
    {
        word
    }
}

#[cfg(test)]
mod tests {
    use super::bits_up_to;

    /// A return address as the processor signs it: in the bits above the address space, except for bit 55, which
    /// selects the half.
    fn signed(address: u64, width: u32) -> u64 {
        let signature = 0xa5a5_a5a5_a5a5_a5a5 & !(1 << 55) & !((1 << width) - 1);
        address | signature
    }

    #[test]
    fn a_signature_goes_and_the_address_stays_in_every_width() {
        // (width of the address space, the highest address of code, as the kernel lays programs out)
        let spaces = [
            (36, 0x0000_000f_f7ff_f000),
            (39, 0x0000_007f_b801_9000),
            (42, 0x0000_03ff_a320_6000),
            (47, 0x0000_7fff_a320_6000),
            (48, 0x0000_ffff_a320_6000),
            // Without a hint, code lies below bit 48 with this width, too.
            (52, 0x0000_ffff_a320_6000),
            (52, 0x000f_ffff_a320_6000),
            (52, 0x0001_0000_0000_1000),
        ];
        for (width, highest) in spaces {
            let mask = bits_up_to(highest);
            for address in [0x1234, 0xaaaa_b54f_7008 & mask, highest - 4, highest] {
                if address <= highest {
                    let word = signed(address, width);
                    assert_ne!(word, address);
                    assert_eq!(word & mask, address, "{width} bits, up to {highest:#x}");
                    assert_eq!(address & mask, address);
                }
            }
        }
    }

    #[test]
    fn without_modules_nothing_is_stripped() {
        assert_eq!(bits_up_to(0), u64::MAX);
    }
}
