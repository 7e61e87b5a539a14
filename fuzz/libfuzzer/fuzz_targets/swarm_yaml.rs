#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    meshwork_fuzz::find("swarm_yaml").expect("the target is there")(data);
});
