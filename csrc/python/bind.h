#pragma once

#include "core/modes.h"
#include "python/autocast.h"
#include "python/profile.h"
#include "python/reader.h"

// The binder. One declaration makes the function, the method, the in-place method and the stub:
//
//     bind<&ops::softmax>(table, kFunction | kMethod, "softmax(input, dim, dtype=None)", "doc …");
//
// The signature's text is read at the first call. Several functions under one name are tried in
// order: bind<&ops::max_all, &ops::max_dim>(table, …, {"max(input)", "max(input, dim, …)"}, doc).
namespace ember::python {

enum Forms : int {
    kFunction = 1,         // ember.softmax
    kMethod = 2,           // Tensor.softmax
    kInPlace = 4,          // Tensor.softmax_, of a function whose last parameter is a Dest
    kInPlaceFunction = 8,  // ember.softmax_ beside it
};

struct Signature {
    const char* text = nullptr;
    bool in_place = false;    // the parameter `out` of the text is absent
    Param* params = nullptr;  // made by prepare, never freed
    int count = 0;
    int positional = 0;               // parameters that may be given by position
    PyObject* result_type = nullptr;  // of "-> (values, indices)"
    bool copies_out = false;          // a last parameter `out` that the function does not take
    int dtype_at = -1;                // where the parameter `dtype` stands
    int out_at = -1;                  // and `out`
    CastRule cast_rule;               // what autocast does

    // Whether autocast changes a call; not where the result goes into a tensor that is there.
    bool casts(PyObject** slots) const {
        return cast_rule.any() && (out_at < 0 || slots[out_at] == Py_None);
    }
    // `taken`: how many parameters the C++ function takes.
    void prepare(int taken);
    // Sorts arguments into slots (borrowed references; defaults where absent). With `quiet`,
    // returns false instead of raising TypeError.
    bool sort(PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames, PyObject* self,
              PyObject** slots, PyObject** made, bool quiet);
};

PyObject* translate_exception();  // of the C++ exception being handled; returns null
// The same in a bound function: calls __torch_function__ where an argument's type defines it.
PyObject* recover(const Signature& signature, PyObject* self, PyObject* const* args,
                  Py_ssize_t nargs, PyObject* kwnames);
PyObject* out_of_memory_error();  // ember.OutOfMemoryError
PyObject* linalg_error();         // ember.linalg.LinAlgError

// ---- Results

inline PyObject* to_python(Tensor t, Signature&) { return wrap(std::move(t)); }
inline PyObject* to_python(bool b, Signature&) { return PyBool_FromLong(b); }
inline PyObject* to_python(int64_t i, Signature&) { return PyLong_FromLongLong(i); }
inline PyObject* to_python(double d, Signature&) { return PyFloat_FromDouble(d); }
inline PyObject* to_python(PyObject* o, Signature&) { return o; }
// What a tensor is, as against what is computed from it.
struct Fact {
    PyObject* object;
};
inline PyObject* to_python(Fact fact, Signature&) { return fact.object; }
inline PyObject* to_python(DType d, Signature&) { return wrap_dtype(d); }
PyObject* to_python(const std::vector<Tensor>& tensors, Signature&);
// Copies a result (stolen) to `out`, a tensor or a tuple of them, and returns that.
PyObject* copy_to_out(PyObject* result, PyObject* out, const Param& param);
// RuntimeError where a dtype was asked for that `out` has not.
void check_out_dtype(const Tensor& out, DType dtype, const Param& param);
PyObject* pack_result(Signature& signature, std::initializer_list<PyObject*> items);
template <class... T>
PyObject* to_python(std::tuple<T...> items, Signature& s) {
    return std::apply(
        [&](auto&... item) { return pack_result(s, {to_python(std::move(item), s)...}); }, items);
}

// ---- Calls

// What was made to stand in slots.
struct Made {
    PyObject* objects = nullptr;
    ~Made() { Py_XDECREF(objects); }
};

// Whether a function of this result computes, so that the profiler notes its calls; others ask.
template <class R>
constexpr bool kComputes =
    !std::is_arithmetic_v<R> && !std::is_same_v<R, DType> && !std::is_same_v<R, Fact>;

template <auto F, bool InPlace>
struct Call;

template <class R, class... A, R (*F)(A...), bool InPlace>
struct Call<F, InPlace> {
    static constexpr size_t kParams = sizeof...(A) - (InPlace ? 1 : 0);
    static constexpr bool kNoted = kComputes<R>;
    static inline Signature signature;

    template <size_t I>
    using ArgOf = Arg<std::tuple_element_t<I, std::tuple<A...>>>;

    static bool accepts(PyObject** slots) {
        return [&]<size_t... I>(std::index_sequence<I...>) {
            return (ArgOf<I>::accepts(slots[I], signature.params[I]) && ...);
        }(std::make_index_sequence<kParams>());
    }

    static PyObject* run(PyObject** slots) {
        return [&]<size_t... I>(std::index_sequence<I...>) -> PyObject* {
            std::tuple<ArgOf<I>...> args{ArgOf<I>(slots[I], signature.params[I])...};
            if constexpr (InPlace) {
                Dest dest = Dest::in_place(std::get<0>(args).get());
                return to_python(F(std::get<I>(args).get()..., dest), signature);
            } else if constexpr (std::is_void_v<R>) {
                F(std::get<I>(args).get()...);
                Py_RETURN_NONE;
            } else {
                return to_python(F(std::get<I>(args).get()...), signature);
            }
        }(std::make_index_sequence<kParams>());
    }

    // With an `out` that F does not know: F's dtype is out's where none is given.
    static PyObject* run_to_out(PyObject** slots) {
        PyObject *out = slots[kParams], *dtype = nullptr;
        int at = signature.dtype_at;
        if (is_tensor(out)) plain_tensor_of(out);
        if (at >= 0 && is_dtype(slots[at]) && is_tensor(out))
            check_out_dtype(tensor_of(out), dtype_of(slots[at]), signature.params[kParams]);
        if (at >= 0 && slots[at] == Py_None && is_tensor(out))
            slots[at] = dtype = wrap_dtype(tensor_of(out).dtype());
        PyObject* result = run(slots);
        Py_XDECREF(dtype);
        return result ? copy_to_out(result, out, signature.params[kParams]) : nullptr;
    }

    // Returns false when the arguments are for another overload.
    static bool attempt(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                        bool last, PyObject** result) {
        if (EMBER_UNLIKELY(!signature.params)) signature.prepare(int(kParams));
        PyObject* slots[kParams + 1];
        Made made;
        bool fits = signature.sort(args, nargs, kwnames, self, slots, &made.objects, !last);
        if (fits && !last) fits = accepts(slots);
        if (fits && EMBER_UNLIKELY(modes::autocast_enabled()) && signature.casts(slots))
            made.objects = autocast_slots(signature.cast_rule, slots, int(kParams), made.objects);
        if (fits && EMBER_UNLIKELY(signature.copies_out) && slots[kParams] != Py_None)
            *result = run_to_out(slots);
        else if (fits)
            *result = run(slots);
        return fits;
    }
};

template <bool InPlace, bool Method, auto... F>
PyObject* entry(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
    const Signature& first = std::get<0>(std::tie(Call<F, InPlace>::signature...));
    PyObject* receiver = Method ? self : nullptr;
    if constexpr ((Call<F, InPlace>::kNoted || ...))
        if (EMBER_UNLIKELY(profiler::recording()) && begins_call())
            return recorded_call(entry<InPlace, Method, F...>, first.text, InPlace, receiver, args,
                                 nargs, kwnames);
    try {
        PyObject* result = nullptr;
        int left = sizeof...(F);
        (void)(Call<F, InPlace>::attempt(receiver, args, nargs, kwnames, --left == 0, &result) ||
               ...);
        return result;
    } catch (...) {
        return recover(first, receiver, args, nargs, kwnames);
    }
}

// ---- Tables

struct Binding {
    std::string name;
    std::string signatures;  // one a line, for stubs
    std::string doc;
    int forms;
    PyMethodDef function, method, in_place;
    const Binding* of = nullptr;  // this is another name of that
};

struct BindTable {
    std::vector<Binding*> bindings;
    void add(int forms, std::span<Signature* const> signatures, const char* doc,
             PyCFunction function, PyCFunction method, PyCFunction in_place);
    // The same objects under another name: alias("absolute", "abs"), so that a table of functions
    // by which a type overrides them finds either.
    void alias(const char* name, const char* of);
    bool install(PyObject* module, PyTypeObject* tensor_type);
};

template <class F>
PyCFunction as_method(F* f) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

template <auto... F>
void bind(BindTable& table, int forms, std::initializer_list<const char*> signatures,
          const char* doc) {
    Signature* all[] = {&Call<F, false>::signature...};
    size_t i = 0;
    for (const char* text : signatures) all[i++]->text = text;
    table.add(forms, all, doc, as_method(&entry<false, false, F...>),
              as_method(&entry<false, true, F...>), nullptr);
}

template <auto F>
void bind(BindTable& table, int forms, const char* signature, const char* doc) {
    bind<F>(table, forms, {signature}, doc);
}

// As bind, with the in-place form: the last parameter of each F is a `const Dest&`.
template <auto... F>
void bind_dest(BindTable& table, int forms, std::initializer_list<const char*> signatures,
               const char* doc) {
    Signature* plain[] = {&Call<F, false>::signature...};
    Signature* in_place[] = {&Call<F, true>::signature...};
    size_t i = 0;
    for (const char* text : signatures) {
        in_place[i]->in_place = true;
        in_place[i]->text = plain[i]->text = text;
        i++;
    }
    table.add(forms, plain, doc, as_method(&entry<false, false, F...>),
              as_method(&entry<false, true, F...>), as_method(&entry<true, true, F...>));
}
template <auto F>
void bind_dest(BindTable& table, int forms, const char* signature, const char* doc) {
    bind_dest<F>(table, forms, {signature}, doc);
}

}  // namespace ember::python
