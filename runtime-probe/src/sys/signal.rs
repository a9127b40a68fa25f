//! Signals that make a thread look at its own stack.
//!
//! A handler runs between any two instructions of its thread, under whatever locks that thread holds.
//!
//! Allowed in a handler: atomics, this thread's cells that need no destructor, memory allocated beforehand, system
//! calls. Forbidden: locks, allocating, logging, panicking, and everything that may do one of these. `errno` is saved
//! around the handler.
//!
//! `SA_RESTART`: interrupted system calls go on, except those that Linux never restarts (`epoll_wait`, `poll`,
//! `nanosleep`, `futex` with a time-out): they return `EINTR`, and std and tokio's driver call them again. A `read` of a
//! socket with `SO_RCVTIMEO` returns `EINTR` to its caller, and the next one has the whole limit anew. Not
//! `SA_ONSTACK`: the alternate stacks of std, for its message about an overflow, are too small to unwind on. MUST NOT
//! replace a handler that other code installed; otherwise that code no longer gets its signals.

use std::ffi::c_int;
use std::fmt;
use std::io;

/// The registers of an interrupted thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    pub(crate) pc: usize,
    pub(crate) sp: usize,
    /// The frame pointer's register, whatever it holds.
    pub(crate) fp: usize,
    /// The link register of aarch64; 0 on other architectures.
    #[cfg_attr(
        not(target_arch = "aarch64"),
        expect(dead_code, reason = "there is none")
    )]
    pub(crate) lr: usize,
}

/// The sender of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// [`Signal::send`], or another process's `sigqueue`.
    Queued,
    /// A timer of this process, which expired `overrun` times more since its last signal.
    Timer { overrun: u32 },
    /// `kill` and everything else.
    Other,
}

/// The facts that a handler gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) origin: Origin,
    /// The value that the sender gave, or that the timer has. Any value, if another process sent the signal.
    pub(crate) value: usize,
    pub(crate) registers: Registers,
}

/// Runs on the thread that got the signal, under the rules of this module.
pub(crate) type Handler = fn(&Delivery);

/// A signal that a handler of ours was installed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal(c_int);

/// Whether an ignored signal counts as taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ignored {
    Taken,
    Free,
}

/// Why there is no handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InstallError {
    /// The registers of this system, or architecture, are not known here.
    Unsupported,
    /// The signal has another handler, or is ignored.
    Taken(c_int),
    /// All real-time signals are taken.
    AllTaken,
    /// The system has no such signal, or does not let it be handled.
    Refused(c_int),
    /// The system lets this process handle no signal.
    Forbidden(io::ErrorKind),
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstallError::Unsupported => f.write_str("it needs Linux on x86_64 or aarch64"),
            InstallError::Taken(number) => {
                write!(f, "{} is taken already", Signal(*number))
            }
            InstallError::AllTaken => f.write_str("every real-time signal is taken already"),
            InstallError::Refused(number) => write!(f, "there is no signal {number} to handle"),
            InstallError::Forbidden(error) => write!(f, "rt_sigaction is forbidden here: {error}"),
        }
    }
}

impl Signal {
    /// Whether handlers get registers on this system.
    pub(crate) fn is_supported() -> bool {
        !imp::real_time().is_empty()
    }

    /// Installs `handler` for this signal, for the life of the process. A signal has one handler of ours, the first.
    ///
    /// # Errors
    /// [`InstallError::Taken`] if the signal has another handler, or is ignored.
    pub(crate) fn install(number: c_int, handler: Handler) -> Result<Signal, InstallError> {
        imp::install(number, handler, Ignored::Taken).map(|()| Signal(number))
    }

    /// As `install`, but also takes an ignored signal: a shell starts its background jobs with ignored signals.
    ///
    /// # Errors
    /// [`InstallError::Taken`] if the signal has another handler.
    pub(crate) fn install_if_ignored_too(
        number: c_int,
        handler: Handler,
    ) -> Result<Signal, InstallError> {
        imp::install(number, handler, Ignored::Free).map(|()| Signal(number))
    }

    /// Installs `handler` for the first real-time signal that is not in use, from the last one down: applications and
    /// libraries that number theirs begin at the other end.
    pub(crate) fn install_free(handler: Handler) -> Result<Signal, InstallError> {
        for number in imp::real_time().rev() {
            match Signal::install(number, handler) {
                Err(InstallError::Taken(_) | InstallError::Refused(_)) => {}
                done => return done,
            }
        }
        Err(match Signal::is_supported() {
            true => InstallError::AllTaken,
            false => InstallError::Unsupported,
        })
    }

    /// Its number.
    pub(crate) fn number(self) -> c_int {
        self.0
    }

    /// Whether the handler is still ours. A handler that replaced it would get our signals. If the system forbids the
    /// call that asks, no code can have replaced the handler: that takes the same call.
    pub(crate) fn is_ours(self) -> bool {
        imp::is_ours(self.0)
    }

    /// Sends the signal to one thread of this process, with a value.
    ///
    /// # Errors
    /// `ESRCH` if there is no such thread any more, `EAGAIN` if too many signals are waiting to be delivered.
    pub(crate) fn send(self, tid: u32, value: usize) -> io::Result<()> {
        imp::send(self.0, tid, value)
    }

    /// Blocks the signal on the calling thread.
    #[cfg(all(test, target_os = "linux"))]
    #[expect(unsafe_code, reason = "blocks a signal")]
    pub(crate) fn block_on_this_thread(self) {
        // SAFETY: a set on this stack, and the mask of this thread only.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, self.0);
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = imp::real_time().end - 1;
        match self.0 {
            number if number == last => f.write_str("SIGRTMAX"),
            number if imp::real_time().contains(&number) => {
                write!(f, "SIGRTMAX-{}", last - number)
            }
            number => write!(f, "signal {number}"),
        }
    }
}

#[cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[expect(
    unsafe_code,
    reason = "sigaction and what the kernel passes to a handler"
)]
mod imp {
    use super::{Delivery, Handler, Ignored, InstallError, Origin, Registers};
    use std::ffi::{c_int, c_void};
    use std::io;
    use std::mem::MaybeUninit;
    use std::ops::Range;
    use std::ptr::null;
    use std::sync::OnceLock;

    /// One more than the last signal of Linux.
    const SIGNALS: usize = 65;

    /// Read in handlers: a look at a `OnceLock` that is set is one load.
    static HANDLERS: [OnceLock<Handler>; SIGNALS] = [const { OnceLock::new() }; SIGNALS];

    /// `siginfo_t` as signals with a value have it, on all 64-bit Linux.
    #[repr(C)]
    struct Info {
        signo: c_int,
        errno: c_int,
        code: c_int,
        _aligned: c_int,
        /// Of a timer: its number.
        pid: c_int,
        /// Of a timer: how often it expired meanwhile.
        uid: c_int,
        value: usize,
        _rest: [u8; 96],
    }
    const _: () = assert!(size_of::<Info>() == size_of::<libc::siginfo_t>());

    pub(super) fn real_time() -> Range<c_int> {
        libc::SIGRTMIN()..libc::SIGRTMAX() + 1
    }

    pub(super) fn install(
        number: c_int,
        handler: Handler,
        ignored: Ignored,
    ) -> Result<(), InstallError> {
        let is_free = |action: &libc::sigaction| match action.sa_sigaction {
            libc::SIG_DFL => true,
            libc::SIG_IGN => ignored == Ignored::Free,
            _ => false,
        };
        let refused = InstallError::Refused(number);
        let place = usize::try_from(number)
            .ok()
            .and_then(|at| HANDLERS.get(at))
            .ok_or(refused.clone())?;
        if is_ours(number) {
            return match place.get() {
                Some(known) if std::ptr::fn_addr_eq(*known, handler) => Ok(()),
                _ => Err(InstallError::Taken(number)),
            };
        }
        let look_or_set = |new| {
            action(number, new).map_err(|error| match error.raw_os_error() {
                Some(libc::EINVAL) => refused.clone(),
                _ => InstallError::Forbidden(error.kind()),
            })
        };
        if !is_free(&look_or_set(None)?) {
            return Err(InstallError::Taken(number));
        }
        if !std::ptr::fn_addr_eq(*place.get_or_init(|| handler), handler) {
            return Err(InstallError::Taken(number));
        }
        // SAFETY: all zeros is a valid sigaction: no flags, an empty mask.
        let mut ours: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        ours.sa_sigaction = entry();
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        let before = look_or_set(Some(&ours))?;
        if !is_free(&before) {
            // Other code installed a handler a moment before: restores it.
            let _ = action(number, Some(&before));
            return Err(InstallError::Taken(number));
        }
        Ok(())
    }

    pub(super) fn is_ours(number: c_int) -> bool {
        let installed = usize::try_from(number)
            .ok()
            .and_then(|at| HANDLERS.get(at)?.get());
        installed.is_some()
            && action(number, None).map_or(true, |action| action.sa_sigaction == entry())
    }

    fn entry() -> libc::sighandler_t {
        on_signal as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as libc::sighandler_t
    }

    /// Sets an action, if `new` is one, and returns the one before.
    fn action(number: c_int, new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
        let mut before = MaybeUninit::uninit();
        // SAFETY: both are valid for the call; the old action is initialized when it returns 0, and read only then. A new
        // one is ours, whose handler is async-signal-safe by the rules of this module, or the action that was in force.
        unsafe {
            let done = libc::sigaction(
                number,
                new.map_or(null(), std::ptr::from_ref),
                before.as_mut_ptr(),
            );
            match done {
                0 => Ok(before.assume_init()),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    pub(super) fn send(number: c_int, tid: u32, value: usize) -> io::Result<()> {
        let info = Info {
            signo: number,
            errno: 0,
            code: libc::SI_QUEUE,
            _aligned: 0,
            pid: std::process::id() as c_int,
            uid: 0,
            value,
            _rest: [0; 96],
        };
        // SAFETY: takes numbers and an info that lives through the call, of the kernel's layout.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_rt_tgsigqueueinfo,
                std::process::id(),
                tid,
                number,
                &raw const info,
            )
        };
        match sent {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    extern "C" fn on_signal(number: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
        // SAFETY: the thread's own `errno`, which the interrupted code may be about to read.
        let errno = unsafe { *libc::__errno_location() };
        let handler = HANDLERS.get(number as usize).and_then(OnceLock::get);
        if let Some(handler) = handler {
            // SAFETY: with SA_SIGINFO the kernel passes both, valid while the handler runs. The fields are there for any
            // origin, though their meaning differs.
            let (info, context) = unsafe {
                (
                    &*info.cast_const().cast::<Info>(),
                    &*context.cast_const().cast::<libc::ucontext_t>(),
                )
            };
            handler(&Delivery {
                origin: match info.code {
                    libc::SI_QUEUE => Origin::Queued,
                    libc::SI_TIMER => Origin::Timer {
                        overrun: u32::try_from(info.uid).unwrap_or(0),
                    },
                    _ => Origin::Other,
                },
                value: info.value,
                registers: registers(&context.uc_mcontext),
            });
        }
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = errno };
    }

    #[cfg(target_arch = "x86_64")]
    fn registers(machine: &libc::mcontext_t) -> Registers {
        let register = |at: c_int| machine.gregs[at as usize] as usize;
        Registers {
            pc: register(libc::REG_RIP),
            sp: register(libc::REG_RSP),
            fp: register(libc::REG_RBP),
            lr: 0,
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn registers(machine: &libc::mcontext_t) -> Registers {
        Registers {
            pc: machine.pc as usize,
            sp: machine.sp as usize,
            fp: machine.regs[29] as usize,
            lr: machine.regs[30] as usize,
        }
    }
}

#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod imp {
    use super::{Handler, Ignored, InstallError};
    use std::ffi::c_int;
    use std::io;
    use std::ops::Range;

    pub(super) fn real_time() -> Range<c_int> {
        0..0
    }
    pub(super) fn install(_: c_int, _: Handler, _: Ignored) -> Result<(), InstallError> {
        Err(InstallError::Unsupported)
    }
    pub(super) fn is_ours(_: c_int) -> bool {
        false
    }
    pub(super) fn send(_: c_int, _: u32, _: usize) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static SUM: AtomicUsize = AtomicUsize::new(0);

    fn adds(delivery: &Delivery) {
        assert_eq!(delivery.origin, Origin::Queued);
        SUM.fetch_add(delivery.value, Ordering::Relaxed);
    }

    fn another(_: &Delivery) {}

    #[test]
    fn a_signal_has_one_handler_and_carries_a_value() {
        let signal = Signal::install_free(adds).unwrap();
        assert!(signal.is_ours());
        assert!(signal.to_string().starts_with("SIGRTMAX"), "{signal}");
        let tid = crate::sys::thread::id();
        signal.send(tid, 7).unwrap();
        assert_eq!(SUM.load(Ordering::Relaxed), 7, "before the call returns");

        let number = signal.number();
        assert_eq!(Signal::install(number, adds), Ok(signal));
        assert_eq!(
            Signal::install(number, another),
            Err(InstallError::Taken(number))
        );
        let other = Signal::install_free(another).unwrap();
        assert_ne!(other, signal);
    }

    #[test]
    #[expect(unsafe_code, reason = "handles a signal as another library would")]
    fn another_handler_is_not_replaced() {
        extern "C" fn theirs(_: c_int) {}
        let theirs = theirs as extern "C" fn(c_int) as libc::sighandler_t;
        // SAFETY: a handler that does nothing.
        unsafe { libc::signal(libc::SIGUSR2, theirs) };
        assert_eq!(
            Signal::install(libc::SIGUSR2, adds),
            Err(InstallError::Taken(libc::SIGUSR2))
        );
        // SAFETY: as above; returns the one in force.
        let in_force = unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
        assert_eq!(in_force, theirs);
        assert_eq!(
            Signal::install(libc::SIGUSR2, adds),
            Err(InstallError::Taken(libc::SIGUSR2))
        );
        for wrong in [0, -1, 65, 1000, libc::SIGKILL] {
            assert_eq!(
                Signal::install(wrong, adds),
                Err(InstallError::Refused(wrong))
            );
        }
        assert_eq!(
            InstallError::Refused(65).to_string(),
            "there is no signal 65 to handle"
        );
    }
}
