//! Tells the linker that Node brings the symbols of its C interface.

fn main() {
    napi_build::setup();
}
