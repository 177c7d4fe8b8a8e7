"""LLVM's intermediate language to functions of this process, by llvmlite.

    code = compile_ir(text)
    code.function("walk", ctypes.c_uint64, ctypes.c_void_p)(address)

The text is verified, optimised for this machine's processor and kept in memory
for as long as the Code is.  Calls run without Python's global lock.
Left out: what the functions do, which is their makers' (`packets.records`,
`backends.native`).

Source: llvmlite's documentation, the LLVM language reference.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

from bpfnb.errors import UnavailableError

__all__ = ["Code", "compile_ir", "require", "works"]

CURE = "pip install 'bpfnb[native]'"
BEST, QUICK, PLAIN = 3, 1, 0  # levels of optimisation
LARGE = 200_000  # characters of text from which optimising well takes seconds,
HUGE = 1_500_000  # and from which choosing instructions well takes as long


class Code:
    """Functions made of one text.

    `ir` is the optimised text, `assembly` the processor's instructions, `size` their bytes.
    """

    def __init__(self, engine: Any, machine: Any, module: Any) -> None:
        self._engine, self._machine, self._module = engine, machine, module

    @cached_property
    def ir(self) -> str:
        """LLVM's text after optimisation."""
        return str(self._module)

    @cached_property
    def assembly(self) -> str:
        """This processor's instructions."""
        return str(self._machine.emit_assembly(self._module))

    @cached_property
    def size(self) -> int:
        """Bytes of the processor's instructions, without tables."""
        made = require().ObjectFileRef.from_data(self._machine.emit_object(self._module))
        return sum(int(each.size()) for each in made.sections() if each.is_text())

    def function(self, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        """A function of the text, of ctypes types; no argument is checked further."""
        import ctypes

        address = self._engine.get_function_address(name)
        made: Any = ctypes.CFUNCTYPE(result, *arguments)(address)
        made.code = self  # the function lives as long as whoever calls it
        return made  # type: ignore[no-any-return]


def compile_ir(text: str) -> Code:
    """Verify, optimise and load a module; UnavailableError without llvmlite."""
    llvm = require()
    module = llvm.parse_assembly(text)
    module.verify()
    level = QUICK if len(text) > LARGE else BEST
    machine = target_machine(PLAIN if len(text) > HUGE else level)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    tuning = llvm.create_pipeline_tuning_options(speed_level=level)
    llvm.create_pass_builder(machine, tuning).getModulePassManager().run(
        module, llvm.create_pass_builder(machine, tuning)
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return Code(engine, machine, module)


def target_machine(level: int) -> Any:
    """This processor, with all its instructions."""
    llvm = require()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=level
    )


@cache
def require() -> Any:
    """llvmlite's binding, made ready; UnavailableError in one line where there is none."""
    try:
        import llvmlite.binding as llvm
    except (ImportError, OSError) as error:
        missing = isinstance(error, ModuleNotFoundError)
        reason = "is not installed" if missing else f"does not load: {error}"
        raise UnavailableError(f"llvmlite {reason} ({CURE})") from None
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


def works() -> bool:
    """Whether native code can be made here."""
    try:
        require()
    except UnavailableError:
        return False
    return True
