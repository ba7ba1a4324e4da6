from app.core.events import HOST
from app.core.plan import DeviceShare
from app.engine.worker.buffer_report import BufferReport

MIB = 1024 * 1024
PROCESSOR_ALONE = """
load_tensors:   CPU_Mapped model buffer size =   571.85 MiB
load_tensors:   CPU_REPACK model buffer size =   554.91 MiB
llama_context:        CPU  output buffer size =     0.24 MiB
llama_kv_cache:        CPU KV buffer size =   176.00 MiB
llama_kv_cache: size =  176.00 MiB (  4096 cells,  22 layers,  2/2 seqs), K (f16):   88.00 MiB, V (f16):   88.00 MiB
llama_memory_recurrent:        CPU RS buffer size =    10.50 MiB
sched_reserve:        CPU compute buffer size =   285.01 MiB
"""
WITH_A_CARD = """
load_tensors:   CPU_Mapped model buffer size =   281.81 MiB
load_tensors:      Vulkan0 model buffer size =  4096.00 MiB
llama_context: Vulkan_Host  output buffer size =     0.49 MiB
llama_kv_cache:    Vulkan0 KV buffer size =  1024.00 MiB
sched_reserve:    Vulkan0 compute buffer size =   560.00 MiB
sched_reserve: Vulkan_Host compute buffer size =    24.01 MiB
"""


def report_of(text: str) -> BufferReport:
    report = BufferReport()
    for line in text.splitlines():
        report.read_line(line)
    return report


def test_what_a_processor_alone_took() -> None:
    planned = DeviceShare(HOST, 22, 572 * MIB, 1, 1, 7 * MIB)
    (used,) = report_of(PROCESSOR_ALONE).used_shares((planned,))
    assert used.weights_bytes == 572 * MIB  # pages of the file and their copies are not both needed
    assert used.cache_bytes == int(176.0 * MIB) + int(10.5 * MIB)
    assert used.compute_bytes == int(285.01 * MIB)
    assert used.surrounding_bytes == 7 * MIB
    assert report_of(PROCESSOR_ALONE).copied_weights_bytes == int(554.91 * MIB)


def test_what_a_card_took() -> None:
    planned = (DeviceShare(HOST, 0, 282 * MIB, 0, 1), DeviceShare("Vulkan0", 32, 1, 1, 1))
    host, card = report_of(WITH_A_CARD).used_shares(planned)
    assert (host.weights_bytes, host.cache_bytes, host.compute_bytes) == (282 * MIB, 0, int(24.01 * MIB))
    assert (card.weights_bytes, card.cache_bytes, card.compute_bytes) == (4096 * MIB, 1024 * MIB, 560 * MIB)


def test_a_new_context_and_a_new_model_begin_anew() -> None:
    planned = (DeviceShare(HOST, 22, 0, 1, 1),)
    report = report_of(PROCESSOR_ALONE)
    report.clear_context()
    (used,) = report.used_shares(planned)
    assert (used.weights_bytes, used.cache_bytes, used.compute_bytes) == (int(554.91 * MIB), 0, 0)
    report.clear()
    assert report.copied_weights_bytes == 0
