//! A context, and how every call that needs one is made: one at a time, with its failure kept for `nvc_error`, and without a
//! panic that would leave the library.

use crate::layout::ContextHead;
use legacy::{Error, Machine};
use std::{
    cell::RefCell,
    ffi::{CString, c_char, c_int},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, Once},
};

/// `struct nvc_context`.
#[repr(C)]
pub struct Context {
    head: ContextHead,
    state: Mutex<State>,
}

/// What there is behind it.
#[derive(Default)]
pub struct State {
    /// The machine, between `nvc_init` and `nvc_shutdown`.
    pub machine: Option<Machine>,
    /// Why the last call that failed did.
    error: Option<CString>,
}

impl Context {
    /// One that is not initialised.
    pub fn new() -> Context {
        // SAFETY: numbers and pointers, for all of which zeros mean something.
        let head = unsafe { std::mem::zeroed() };
        Context { head, state: Mutex::default() }
    }

    /// The last failure's text.
    pub fn error(&self) -> *const c_char {
        self.lock().error.as_ref().map_or(std::ptr::null(), |text| text.as_ptr())
    }

    /// A panic while it was held left nothing half-done that anybody could see: what failed is an error by then.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Does `work`, and keeps its failure.
    pub fn run<T>(&self, work: impl FnOnce(&mut State) -> Result<T, Error>) -> Option<T> {
        let mut state = self.lock();
        let done = caught(|| work(&mut state)).unwrap_or_else(|panic| Err(Error::new(panic)));
        done.map_err(|error| {
            log::error!("{error}");
            let text = error.to_string().replace('\0', " ");
            state.error = CString::new(text).ok();
        })
        .ok()
    }

    /// The same on a machine that was looked at.
    pub fn on_machine<T>(&self, work: impl FnOnce(&Machine) -> Result<T, Error>) -> Option<T> {
        self.run(|state| {
            let machine = state.machine.as_ref().ok_or_else(|| Error::new("context uninitialized"))?;
            work(machine)
        })
    }
}

/// The number that C expects.
pub fn status<T>(done: Option<T>) -> c_int {
    match done {
        Some(_) => 0,
        None => -1,
    }
}

/// What a function returns when it cannot do what it is for.
pub trait Failed {
    /// That.
    const FAILED: Self;
}

impl Failed for () {
    const FAILED: () = ();
}

impl Failed for c_int {
    const FAILED: c_int = -1;
}

impl<T> Failed for *mut T {
    const FAILED: *mut T = std::ptr::null_mut();
}

impl<T> Failed for *const T {
    const FAILED: *const T = std::ptr::null();
}

/// The whole of an exported function: no panic leaves it.
pub fn guarded<T: Failed>(work: impl FnOnce() -> T) -> T {
    caught(work).unwrap_or(T::FAILED)
}

thread_local! {
    /// What the last panic of this thread said.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Does `work`; a panic becomes a text. Nothing is printed: standard error is the program's.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    // The standard library is linked into ours, so this hook is nobody else's.
    QUIET.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let said = panic.to_string().replace('\n', " ");
            SAID.with_borrow_mut(|kept| *kept = said);
        }));
    });
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        let said = SAID.with_borrow_mut(std::mem::take);
        format!("internal error, please report it: {said}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn said(context: &Context) -> String {
        // SAFETY: not NULL after a failure, and the context lives.
        unsafe { CStr::from_ptr(context.error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let context = Context::new();
        assert!(context.error().is_null());
        let done: Option<()> = context.run(|_| panic!("no such thing"));
        assert_eq!((done, status(done)), (None, -1));
        let text = said(&context);
        assert!(text.starts_with("internal error, please report it: ") && text.contains("no such thing"), "{text}");
        // The context goes on.
        assert_eq!(context.run(|_| Ok(3)), Some(3));
        assert_eq!(said(&context), text, "what failed last stays known");
    }

    #[test]
    fn every_function_has_an_answer_for_a_panic() {
        assert_eq!(guarded(|| -> c_int { panic!("x") }), -1);
        assert!(guarded(|| -> *mut u8 { panic!("x") }).is_null());
        guarded::<()>(|| panic!("x"));
    }

    #[test]
    fn the_last_failure_is_kept() {
        let context = Context::new();
        for text in ["first", "sec\0ond"] {
            assert_eq!(status(context.run(|_| Err::<(), _>(Error::new(text)))), -1);
            assert_eq!(said(&context), text.replace('\0', " "));
        }
        assert_eq!(status(context.on_machine(|_| Ok(()))), -1);
        assert_eq!(said(&context), "context uninitialized");
    }
}
