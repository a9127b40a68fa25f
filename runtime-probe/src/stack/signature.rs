//! Signed return addresses (aarch64's pointer authentication): the bits of a word that are the address.
//!
//! Code built with `-mbranch-protection` (many distributions' libc is) signs a return address before it stores it. The
//! signature stands above the address space, in bits that are 0 in every address of a program: from bit 48 up, with
//! 52-bit addresses from bit 52. How wide the space is no system call tells a process. The modules do: a mask that keeps
//! every bit of the highest address of code keeps no bit of a signature, whatever the width is. Where nothing is signed
//! the mask changes no address, so the processor is not asked.
//!
//! On other architectures a word is the address, at no cost.

#[cfg(target_arch = "aarch64")]
use std::sync::atomic::{AtomicU64, Ordering};

/// The bits of addresses. All, until the modules are known.
#[cfg(target_arch = "aarch64")]
static ADDRESS_BITS: AtomicU64 = AtomicU64::new(u64::MAX);

/// The bits that addresses up to `highest` have.
#[cfg(any(target_arch = "aarch64", test))]
fn bits_up_to(highest: u64) -> u64 {
    match highest {
        0 => u64::MAX,
        highest => u64::MAX >> highest.leading_zeros(),
    }
}

/// Tells that code reaches up to `highest`. Later calls only raise it.
#[cfg_attr(not(target_arch = "aarch64"), allow(unused_variables))]
pub(crate) fn code_reaches(highest: u64) {
    #[cfg(target_arch = "aarch64")]
    if highest != 0 {
        let raise = |known| match known {
            u64::MAX => Some(bits_up_to(highest)),
            known => Some(known | bits_up_to(highest)),
        };
        // Relaxed: each value is a mask that some set of modules is right with.
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

    /// A return address as the processor signs it: bits from the width of the address space up, except for bit 55,
    /// which says whose half it is.
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
            // Without a hint, code lies below bit 48 here too.
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
