//! Memory that C programs get and give back: from `malloc`, so that those which `free()` a part by themselves do no harm.

use std::ffi::{CStr, c_char};

/// A copy of the text for C. A NUL in it, which no fact of a machine has, ends it.
pub fn string(text: &str) -> *mut c_char {
    let bytes = text.as_bytes();
    let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let place: *mut u8 = allocate(length + 1).cast();
    // SAFETY: `place` has room for `length` bytes and one more, which `calloc` has made zero; the two do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, length) };
    place.cast()
}

/// An array for C, and its length.
pub fn array<T: Copy>(items: &[T]) -> (*mut T, usize) {
    let place: *mut T = allocate(size_of_val(items)).cast();
    // SAFETY: `place` has room for all items and is aligned for any type that C knows; the two do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(items.as_ptr(), place, items.len()) };
    (place, items.len())
}

/// A single structure for C.
pub fn one<T: Copy>(item: T) -> *mut T {
    array(&[item]).0
}

/// An array of strings for C.
pub fn strings(texts: &[String]) -> (*mut *mut c_char, usize) {
    array(&texts.iter().map(|text| string(text)).collect::<Vec<_>>())
}

/// Zeros; never NULL.
fn allocate(bytes: usize) -> *mut libc::c_void {
    // SAFETY: `calloc` takes any two numbers.
    let place = unsafe { libc::calloc(bytes.max(1), 1) };
    if place.is_null() {
        std::process::abort();
    }
    place
}

/// Gives back one piece; NULL is fine.
///
/// # Safety
/// It is NULL or from `malloc`, and not used any more.
pub unsafe fn release<T>(place: *mut T) {
    // SAFETY: the caller's word.
    unsafe { libc::free(place.cast()) };
}

/// Gives back an array and what each of its items holds.
///
/// # Safety
/// As [`release`]; the array has that many items.
pub unsafe fn release_all<T: Copy>(array: *mut T, length: usize, mut each: impl FnMut(T)) {
    // SAFETY: the caller's word.
    unsafe { slice(array, length) }.iter().for_each(|item| each(*item));
    // SAFETY: the caller's word; the slice is gone.
    unsafe { release(array) };
}

/// Gives back an array of strings.
///
/// # Safety
/// As [`release_all`]; each string is from `malloc`.
pub unsafe fn release_strings(array: *mut *mut c_char, length: usize) {
    // SAFETY: the caller's word.
    unsafe { release_all(array, length, |text| release(text)) };
}

/// What a C program's string says; `None` for NULL. Bytes that are no UTF-8 are replaced.
///
/// # Safety
/// NULL, or a string that ends with NUL and does not change meanwhile.
pub unsafe fn text(string: *const c_char) -> Option<String> {
    // SAFETY: not NULL; the rest is the caller's word.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned())
}

/// A C program's array; an empty one for NULL.
///
/// # Safety
/// NULL, or that many items that do not change while the slice lives.
pub unsafe fn slice<'a, T>(array: *const T, length: usize) -> &'a [T] {
    match array.is_null() || length == 0 {
        true => &[],
        // SAFETY: not NULL; the rest is the caller's word.
        false => unsafe { std::slice::from_raw_parts(array, length) },
    }
}

/// The texts of a C program's array of strings; NULL items are left out.
///
/// # Safety
/// As [`slice`] and [`text`].
pub unsafe fn texts(array: *const *mut c_char, length: usize) -> Vec<String> {
    // SAFETY: the caller's word.
    unsafe { slice(array, length).iter().filter_map(|string| text(*string)).collect() }
}
