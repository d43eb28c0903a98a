#include "core/allocator.h"
#include "core/backend.h"
#include "core/float_mode.h"
#include "core/generator.h"
#include "core/parallel.h"
#include "python/tables.h"

// Threads, memory, the kernels' level, and generators.
namespace ember::python {

namespace {

// ---- Generator

struct GeneratorObject {
    PyObject_HEAD Generator* generator;
    bool owned;
};

PyTypeObject* generator_type;

GeneratorObject* as_generator(PyObject* o) { return reinterpret_cast<GeneratorObject*>(o); }

PyObject* make_generator(Generator* generator, bool owned) {
    auto* o = PyObject_New(GeneratorObject, generator_type);
    if (!o) return nullptr;
    o->generator = generator;
    o->owned = owned;
    return reinterpret_cast<PyObject*>(o);
}

template <class F>
PyObject* guarded(F f) {
    try {
        return f();
    } catch (...) {
        return translate_exception();
    }
}

PyObject* generator_new(PyTypeObject*, PyObject* args, PyObject* kwargs) {
    static const char* names[] = {"device", nullptr};
    PyObject* device = nullptr;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:Generator", const_cast<char**>(names),
                                     &device))
        return nullptr;
    return guarded([&] {
        Device place = device ? resolve_device(read_device(device, "Generator")) : Device();
        return make_generator(new Generator(Generator::kDefaultSeed, place), true);
    });
}

void generator_dealloc(PyObject* self) {
    if (as_generator(self)->owned) delete as_generator(self)->generator;
    PyTypeObject* type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}

// A seed is any integer of 64 bits, signed or not, as PyTorch takes it.
uint64_t read_seed(PyObject* o) {
    if (!PyIndex_Check(o)) raise_type("manual_seed: expected an int, got %s", Py_TYPE(o)->tp_name);
    PyObject* whole = PyNumber_Index(o);
    if (!whole) throw PythonError();
    int overflow = 0;
    long long value = PyLong_AsLongLongAndOverflow(whole, &overflow);
    uint64_t seed = uint64_t(value);
    if (overflow > 0) {
        seed = PyLong_AsUnsignedLongLong(whole);
        if (PyErr_Occurred()) overflow = 2, PyErr_Clear();
    }
    Py_DECREF(whole);
    if (overflow < 0 || overflow == 2)
        raise(
            "manual_seed: the seed must fit into 64 bits, within "
            "[-0x8000_0000_0000_0000, 0xffff_ffff_ffff_ffff]");
    return seed;
}

Tensor state_of(const Generator& generator) {
    Tensor state = empty({{int64_t(generator.state_bytes())}}, {DType::UInt8, {}});
    generator.get_state(state.as<uint8_t>());
    return state;
}

void set_state_of(Generator& generator, PyObject* o) {
    if (!is_tensor(o)) raise_type("set_state: expected a Tensor, got %s", Py_TYPE(o)->tp_name);
    const Tensor& state = tensor_of(o);
    if (state.dtype() != DType::UInt8 || !state.is_contiguous() || !state.device().is_cpu())
        raise_type("set_state: RNG state must be a contiguous uint8 tensor of the CPU");
    generator.set_state(state.as<uint8_t>(), size_t(state.numel()));
}

PyObject* generator_manual_seed(PyObject* self, PyObject* seed) {
    return guarded([&] {
        as_generator(self)->generator->manual_seed(read_seed(seed));
        return Py_NewRef(self);
    });
}
PyObject* generator_initial_seed(PyObject* self, PyObject*) {
    return PyLong_FromUnsignedLongLong(as_generator(self)->generator->initial_seed());
}
PyObject* generator_seed(PyObject* self, PyObject*) {
    return PyLong_FromUnsignedLongLong(as_generator(self)->generator->seed());
}
PyObject* generator_get_state(PyObject* self, PyObject*) {
    return guarded([&] { return wrap(state_of(*as_generator(self)->generator)); });
}
PyObject* generator_set_state(PyObject* self, PyObject* state) {
    return guarded([&] {
        set_state_of(*as_generator(self)->generator, state);
        return Py_NewRef(self);
    });
}
PyObject* generator_clone(PyObject* self, PyObject*) {
    return guarded([&] {
        auto* copy = new Generator();
        copy->copy_state(*as_generator(self)->generator);
        return make_generator(copy, true);
    });
}
PyObject* generator_device(PyObject* self, void*) {
    return wrap_device(as_generator(self)->generator->device());
}

PyMethodDef generator_methods[] = {
    {"manual_seed", generator_manual_seed, METH_O, "Seeds the generator and returns it."},
    {"initial_seed", generator_initial_seed, METH_NOARGS, "The seed last set."},
    {"seed", generator_seed, METH_NOARGS, "Seeds from the system's entropy and returns the seed."},
    {"get_state", generator_get_state, METH_NOARGS,
     "The state as a uint8 tensor, in PyTorch's layout."},
    {"set_state", generator_set_state, METH_O, "Takes a state that get_state returned."},
    {"clone_state", generator_clone, METH_NOARGS, "Another generator with the same state."},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef generator_getset[] = {
    {"device", generator_device, nullptr, "Whose tensors it fills.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

bool add_generator(PyObject* module) {
    PyType_Slot slots[] = {
        {Py_tp_new, reinterpret_cast<void*>(generator_new)},
        {Py_tp_dealloc, reinterpret_cast<void*>(generator_dealloc)},
        {Py_tp_methods, generator_methods},
        {Py_tp_getset, generator_getset},
        {Py_tp_doc, const_cast<char*>(
                        "Generator(device='cpu')\n\nA source of random numbers of its own: mt19937 "
                        "with PyTorch's streams on the CPU, Philox on a GPU.")},
        {0, nullptr},
    };
    PyType_Spec spec = {"ember.Generator", sizeof(GeneratorObject), 0, Py_TPFLAGS_DEFAULT, slots};
    generator_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    if (!generator_type) return false;
    PyObject* shared = make_generator(&default_generator(), false);
    return shared && PyModule_AddObjectRef(module, "default_generator", shared) == 0 &&
           PyModule_AddObjectRef(module, "Generator",
                                 reinterpret_cast<PyObject*>(generator_type)) == 0;
}

PyObject* manual_seed(PyObject* seed) {
    thread_generator().manual_seed(read_seed(seed));
    seed_gpu_generators(read_seed(seed));
    PyObject* module = PyImport_ImportModule("ember._C");
    PyObject* shared = module ? PyObject_GetAttrString(module, "default_generator") : nullptr;
    Py_XDECREF(module);
    if (!shared) throw PythonError();
    return shared;
}
PyObject* gpu_generator(int64_t index) {
    return make_generator(&default_generator({DeviceType::CUDA, int8_t(index)}), false);
}
void seed_gpus(PyObject* seed) { seed_gpu_generators(read_seed(seed)); }
PyObject* initial_seed() { return PyLong_FromUnsignedLongLong(thread_generator().initial_seed()); }
PyObject* seed() { return PyLong_FromUnsignedLongLong(thread_generator().seed()); }
Tensor get_rng_state() { return state_of(thread_generator()); }
void set_rng_state(PyObject* state) { set_state_of(thread_generator(), state); }
void use_generator(Generator* generator) { set_thread_generator(generator); }

// ---- Threads and memory

int64_t num_threads() { return get_num_threads(); }
void change_num_threads(int64_t n) {
    if (n < 1 || n > 4096)
        raise("set_num_threads: expects a positive integer up to 4096, got %ld", long(n));
    set_num_threads(int(n));
}

PyObject* stats() {
    MemoryStats s = memory_stats();
    PyObject* dict = PyDict_New();
    auto put = [&](const char* name, int64_t value) {
        PyObject* number = PyLong_FromLongLong(value);
        PyDict_SetItemString(dict, name, number);
        Py_DECREF(number);
    };
    put("allocated_bytes", s.allocated);
    put("allocated_bytes_peak", s.allocated_peak);
    put("reserved_bytes", s.reserved);
    put("reserved_bytes_peak", s.reserved_peak);
    put("allocations", s.allocations);
    put("cache_hits", s.cache_hits);
    return dict;
}

PyObject* cpu_level() { return PyUnicode_FromString(load_cpu_kernels()); }

}  // namespace

bool is_generator(PyObject* o) { return Py_TYPE(o) == generator_type; }
Generator* generator_of(PyObject* o) { return as_generator(o)->generator; }

bool add_runtime(PyObject* module) { return add_generator(module); }

void bind_runtime(BindTable& t) {
    bind<&manual_seed>(
        t, kFunction, "manual_seed(seed)",
        "Seeds the default generators, those of GPUs too, and returns the CPU's. seed: "
        "any integer of 64 bits.");
    bind<&gpu_generator>(t, kFunction, "_cuda_generator(index)", "A GPU's default generator.");
    bind<&seed_gpus>(t, kFunction, "_cuda_seed_all(seed)", "Seeds the generators of all GPUs.");
    bind<&initial_seed>(t, kFunction, "initial_seed()", "The default generator's last seed.");
    bind<&seed>(t, kFunction, "seed()", "Seeds the default generator from the system's entropy.");
    bind<&get_rng_state>(t, kFunction, "get_rng_state()",
                         "The default generator's state: a uint8 tensor in PyTorch's layout.");
    bind<&set_rng_state>(t, kFunction, "set_rng_state(new_state)",
                         "Sets the default generator's state to what get_rng_state returned.");
    bind<&use_generator>(t, kFunction, "_set_thread_generator(generator)",
                         "What this thread draws from instead of the default generator, or None. "
                         "The caller keeps it alive.");
    bind<&num_threads>(t, kFunction, "get_num_threads()",
                       "How many threads a kernel may use: the cores the process may run on, "
                       "unless EMBER_NUM_THREADS "
                       "or set_num_threads says otherwise.");
    bind<&change_num_threads>(
        t, kFunction, "set_num_threads(num)",
        "Sets how many threads a kernel may use. Results do not depend on it.");
    bind<&stats>(t, kFunction, "memory_stats()",
                 "The CPU allocator's figures: bytes allocated and reserved, their peaks, calls, "
                 "cache hits.");
    bind<&reset_peak_memory_stats>(t, kFunction, "reset_peak_memory_stats()",
                                   "Sets the peaks of memory_stats to the present values.");
    bind<&trim_memory>(t, kFunction, "trim_memory()", "Gives cached memory back to the system.");
    bind<&cpu_level>(
        t, kFunction, "_cpu_level()",
        "The instruction-set level of the kernels: baseline, avx2, avx512, bf16 or amx.");
    bind<&set_flush_denormal>(t, kFunction, "set_flush_denormal(mode)",
                              "Whether subnormal numbers count as zero (off at first). Returns "
                              "whether the processor can.");
}

}  // namespace ember::python
