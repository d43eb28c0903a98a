#include "python/bind.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <unordered_map>

#include "core/modes.h"
#include "ops/copy.h"
#include "ops/plan.h"
#include "python/override.h"

namespace ember::python {

namespace {

PyObject* core_module;  // ember._C

std::string_view trim(std::string_view s) {
    while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
    while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
    return s;
}

// The default as Python reads it; only literals stand in signatures.
PyObject* literal(std::string_view text) {
    if (text == "None") return Py_NewRef(Py_None);
    if (text == "True") return Py_NewRef(Py_True);
    if (text == "False") return Py_NewRef(Py_False);
    PyObject* globals = PyDict_New();
    PyObject* value = PyRun_String(std::string(text).c_str(), Py_eval_input, globals, globals);
    Py_DECREF(globals);
    return value;
}

// Splits at commas outside brackets.
std::vector<std::string_view> split_params(std::string_view list) {
    std::vector<std::string_view> parts;
    int depth = 0;
    size_t begin = 0;
    for (size_t i = 0; i <= list.size(); i++) {
        if (i < list.size() && (list[i] == '(' || list[i] == '[')) depth++;
        if (i < list.size() && (list[i] == ')' || list[i] == ']')) depth--;
        if (i < list.size() && (list[i] != ',' || depth > 0)) continue;
        std::string_view part = trim(list.substr(begin, i - begin));
        if (!part.empty()) parts.push_back(part);
        begin = i + 1;
    }
    return parts;
}

// "-> (values, indices)" becomes a named tuple type, `return_types.max`.
PyObject* make_result_type(const char* function, std::string_view names) {
    std::vector<std::string_view> fields = split_params(names);
    auto* list = new std::vector<PyStructSequence_Field>;  // the type keeps pointing at them
    for (std::string_view field : fields)
        list->push_back({(new std::string(field))->c_str(), nullptr});
    list->push_back({nullptr, nullptr});
    auto* name = new std::string(std::string("ember.return_types.") + function);
    PyStructSequence_Desc desc{name->c_str(), nullptr, list->data(), int(fields.size())};
    return reinterpret_cast<PyObject*>(PyStructSequence_NewType(&desc));
}

// Other spellings that PyTorch takes: numpy's, and those of torch.split beside Tensor.split.
const char* torch_name(const char* keyword) {
    static constexpr const char* pairs[][2] = {{"axis", "dim"},
                                               {"keepdims", "keepdim"},
                                               {"x", "input"},
                                               {"x1", "input"},
                                               {"x2", "other"},
                                               {"tensor", "input"},
                                               {"split_size_or_sections", "split_size"}};
    for (auto& pair : pairs)
        if (std::strcmp(keyword, pair[0]) == 0) return pair[1];
    return nullptr;
}

}  // namespace

void Signature::prepare(int taken) {
    std::string_view all = text;
    size_t open = all.find('('), arrow = all.find(" -> ");
    size_t close = all.rfind(')', arrow == std::string_view::npos ? arrow : arrow);
    auto* function = new std::string(all.substr(0, open));
    if (in_place) *function += '_';
    auto* list = new std::vector<Param>;
    bool keyword_only = false;
    for (std::string_view part : split_params(all.substr(open + 1, close - open - 1))) {
        if (part == "*") {
            keyword_only = true;
            continue;
        }
        Param p;
        size_t equals = part.find('='), colon = part.find(':');
        p.rest = part[0] == '*';
        if (p.rest) part.remove_prefix(1), equals--, colon--;
        std::string_view name = trim(part.substr(0, std::min(equals, colon)));
        if (in_place && name == "out") continue;
        p.name = PyUnicode_InternFromString(std::string(name).c_str());
        p.function = function->c_str();
        p.position = int(list->size()) + 1;
        p.keyword_only = keyword_only;
        if (colon < part.size()) {
            std::string_view types = part.substr(colon, equals - colon);
            p.number_ok = types.find("Number") != types.npos;
            p.complex_ok = types.find("complex") != types.npos;
            p.none_given = types.find("None") != types.npos;
            p.sequence = types.find("tuple") != types.npos;
        }
        if (equals < part.size()) {
            p.fallback = literal(trim(part.substr(equals + 1)));
            if (!p.fallback) throw PythonError();
        }
        list->push_back(p);
        if (!keyword_only) positional = int(list->size());
        if (p.rest) keyword_only = true;
    }
    auto is_out = [](const Param& p) { return std::strcmp(p.text(), "out") == 0; };
    auto found = std::find_if(list->begin(), list->end(), is_out);
    copies_out = int(list->size()) == taken + 1 && found != list->end();
    if (copies_out) {  // behind those that the function takes
        if (!found->keyword_only) positional--;
        found->keyword_only = true;
        std::rotate(found, found + 1, list->end());
    }
    for (int i = 0; i < taken; i++)
        if (std::strcmp((*list)[size_t(i)].text(), "dtype") == 0) dtype_at = i;
    found = std::find_if(list->begin(), list->end(), is_out);
    if (found != list->end()) out_at = int(found - list->begin());
    if (!in_place) cast_rule = python::cast_rule(*function);
    if (arrow != std::string_view::npos && all[arrow + 4] == '(') {
        result_type =
            make_result_type(function->c_str(), all.substr(arrow + 5, all.size() - arrow - 6));
        if (!result_type) throw PythonError();
    }
    count = int(list->size());
    params = list->data();
}

namespace {

// Raises and unwinds unless quiet.
template <class... T>
bool mismatch(bool quiet, const char* message, T... values) {
    if (quiet) return false;
    PyErr_Format(PyExc_TypeError, message, values...);
    throw PythonError();
}

}  // namespace

bool Signature::sort(PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames, PyObject* self,
                     PyObject** slots, PyObject** made, bool quiet) {
    if (has_mode() && text[0] != '_') leave_to_override();
    int at = 0;
    if (self) slots[at++] = self;
    Py_ssize_t used = 0;
    while (used < nargs && at < positional) {
        if (EMBER_UNLIKELY(params[at].rest)) {
            // f(2, 3) and f((2, 3)) mean the same.
            Py_ssize_t left = nargs - used;
            if (left == 1 && (PyTuple_Check(args[used]) || PyList_Check(args[used]))) {
                slots[at++] = args[used++];
                break;
            }
            PyObject* rest = PyTuple_New(left);
            if (!rest) throw PythonError();
            for (Py_ssize_t i = 0; i < left; i++)
                PyTuple_SET_ITEM(rest, i, Py_NewRef(args[used + i]));
            used = nargs;
            *made = rest;
            slots[at++] = rest;
            break;
        }
        slots[at++] = args[used++];
    }
    if (EMBER_UNLIKELY(used < nargs))
        return mismatch(quiet, "%s() takes %d positional arguments but %zd were given",
                        params ? params[0].function : text, positional, nargs + (self ? 1 : 0));
    for (int i = at; i < count; i++) slots[i] = nullptr;
    if (EMBER_UNLIKELY(kwnames != nullptr)) {
        Py_ssize_t n = PyTuple_GET_SIZE(kwnames);
        for (Py_ssize_t k = 0; k < n; k++) {
            PyObject* name = PyTuple_GET_ITEM(kwnames, k);
            int found = -1;
            for (int i = 0; i < count && found < 0; i++)
                if (params[i].name == name) found = i;
            for (int i = 0; i < count && found < 0; i++)
                if (PyUnicode_Compare(params[i].name, name) == 0) found = i;
            if (found < 0) {
                const char* other = torch_name(PyUnicode_AsUTF8(name));
                for (int i = 0; i < count && found < 0 && other; i++)
                    if (std::strcmp(params[i].text(), other) == 0) found = i;
            }
            if (found < 0)
                return mismatch(quiet, "%s() got an unexpected keyword argument '%U'",
                                count ? params[0].function : text, name);
            if (slots[found])
                return mismatch(quiet, "%s() got multiple values for argument '%U'",
                                params[found].function, name);
            slots[found] = args[nargs + k];
        }
    }
    for (int i = at; i < count; i++) {
        if (slots[i]) continue;
        if (EMBER_UNLIKELY(!params[i].fallback)) {
            return mismatch(quiet, "%s() missing 1 required positional argument: \"%U\"",
                            params[i].function, params[i].name);
        }
        slots[i] = params[i].fallback;
    }
    return true;
}

namespace {

// Marks the error for nn, which adds the path of the module. What has a traceback came out of
// Python code, a hook's say, that the operation called.
void mark_as_operations() {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type && !traceback) {
        PyErr_NormalizeException(&type, &value, &traceback);
        if (PyObject_SetAttrString(value, "_of_operation", Py_True) < 0) PyErr_Clear();
    }
    PyErr_Restore(type, value, traceback);
}

}  // namespace

PyObject* translate_exception() {
    try {
        throw;
    } catch (const PythonError&) {
    } catch (const Leaving&) {
        left_to_override();
        PyErr_SetString(PyExc_TypeError,
                        "expected a Tensor, got a type that defines __torch_function__, which this "
                        "function does not call");
    } catch (const Error& e) {
        PyObject* type = PyExc_RuntimeError;
        switch (e.kind) {
            case ErrorKind::Runtime: break;
            case ErrorKind::Type: type = PyExc_TypeError; break;
            case ErrorKind::Value: type = PyExc_ValueError; break;
            case ErrorKind::Index: type = PyExc_IndexError; break;
            case ErrorKind::NotImplemented: type = PyExc_NotImplementedError; break;
            case ErrorKind::OutOfMemory: type = out_of_memory_error(); break;
            case ErrorKind::Overflow: type = PyExc_OverflowError; break;
            case ErrorKind::Buffer: type = PyExc_BufferError; break;
            case ErrorKind::LinAlg: type = linalg_error(); break;
        }
        PyErr_SetString(type, e.what());
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& e) {
        PyErr_SetString(PyExc_RuntimeError, e.what());
    }
    mark_as_operations();
    return nullptr;
}

PyObject* recover(const Signature& signature, PyObject* self, PyObject* const* args,
                  Py_ssize_t nargs, PyObject* kwnames) {
    if (EMBER_LIKELY(!left_to_override())) return translate_exception();
    std::string_view text = signature.text;
    std::string name(text.substr(0, text.find('(')));
    if (signature.in_place) name += '_';
    if (!self) {
        PyObject* func = PyObject_GetAttrString(core_module, name.c_str());
        return call_override(func, args, nargs, kwnames);
    }
    Py_ssize_t all = nargs + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    std::vector<PyObject*> with_self{self};
    with_self.insert(with_self.end(), args, args + all);
    PyObject* func = PyObject_GetAttrString(reinterpret_cast<PyObject*>(tensor_type), name.c_str());
    return call_override(func, with_self.data(), nargs + 1, kwnames);
}

PyObject* copy_to_out(PyObject* result, PyObject* out, const Param& param) {
    struct Held {
        PyObject* o;
        ~Held() { Py_XDECREF(o); }
    } held{result};
    if (is_tensor(result)) {
        if (!is_tensor(out)) wrong_type(param, "Tensor", out);
        const Tensor &from = tensor_of(result), &to = plain_tensor_of(out);
        ops::check_out(param.function, to, from.dtype(), from.requires_grad());
        ops::resize_out(param.function, to, from.sizes());
        GradModeGuard no_grad(false);
        ops::copy_(to, from);
        return Py_NewRef(out);
    }
    Py_ssize_t n = PyTuple_GET_SIZE(result);
    if ((!PyTuple_Check(out) && !PyList_Check(out)) || PySequence_Fast_GET_SIZE(out) != n) {
        PyErr_Format(PyExc_TypeError, "%s(): argument 'out' must be a tuple of %zd Tensors, not %s",
                     param.function, n, Py_TYPE(out)->tp_name);
        throw PythonError();
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *from = PyTuple_GET_ITEM(result, i), *to = PySequence_Fast_GET_ITEM(out, i);
        if (!is_tensor(from) || !is_tensor(to)) continue;
        DType expected = tensor_of(from).dtype(), got = tensor_of(to).dtype();
        EMBER_CHECK(expected == got, "%s: expected out %ld of dtype %s, got %s", param.function,
                    long(i), dtype_name(expected), dtype_name(got));
    }
    Held written{PyTuple_New(n)};
    for (Py_ssize_t i = 0; written.o && i < n; i++) {
        PyObject* one = copy_to_out(Py_NewRef(PyTuple_GET_ITEM(result, i)),
                                    PySequence_Fast_GET_ITEM(out, i), param);
        PyTuple_SET_ITEM(written.o, i, one);
    }
    if (!written.o || PyTuple_CheckExact(result)) return Py_XNewRef(written.o);
    return PyObject_CallOneArg(reinterpret_cast<PyObject*>(Py_TYPE(result)), written.o);
}

void check_out_dtype(const Tensor& out, DType dtype, const Param& param) {
    EMBER_CHECK(out.dtype() == dtype, "%s: dtype %s does not match dtype of out parameter %s",
                param.function, dtype_name(dtype), dtype_name(out.dtype()));
}

PyObject* to_python(const std::vector<Tensor>& tensors, Signature&) {
    PyObject* tuple = PyTuple_New(Py_ssize_t(tensors.size()));
    for (size_t i = 0; tuple && i < tensors.size(); i++)
        PyTuple_SET_ITEM(tuple, Py_ssize_t(i), wrap(tensors[i]));
    return tuple;
}

PyObject* pack_result(Signature& signature, std::initializer_list<PyObject*> items) {
    auto* type = reinterpret_cast<PyTypeObject*>(signature.result_type);
    PyObject* result = type ? PyStructSequence_New(type) : PyTuple_New(Py_ssize_t(items.size()));
    Py_ssize_t i = 0;
    for (PyObject* item : items) {
        if (type)
            PyStructSequence_SetItem(result, i++, item);
        else
            PyTuple_SET_ITEM(result, i++, item);
    }
    return result;
}

void BindTable::add(int forms, std::span<Signature* const> signatures, const char* doc,
                    PyCFunction function, PyCFunction method, PyCFunction in_place) {
    for (Signature* s : signatures)
        if (in_place && std::string_view(s->text).find(" out=None") == std::string_view::npos)
            raise("bind_dest: %s must have a last parameter out=None", s->text);
    auto* b = new Binding;  // method tables live as long as the interpreter
    std::string_view text = signatures[0]->text;
    b->name = text.substr(0, text.find('('));
    for (Signature* s : signatures) b->signatures += std::string(s->text) + "\n";
    b->doc = b->signatures + "\n" + doc;
    b->forms = forms;
    constexpr int flags = METH_FASTCALL | METH_KEYWORDS;
    b->function = {b->name.c_str(), function, flags, b->doc.c_str()};
    b->method = {b->name.c_str(), method, flags, b->doc.c_str()};
    b->in_place = {(new std::string(b->name + "_"))->c_str(), in_place, flags, b->doc.c_str()};
    bindings.push_back(b);
}

void BindTable::alias(const char* name, const char* of) {
    for (Binding* b : bindings) {
        if (b->name != of) continue;
        auto* copy = new Binding(*b);
        copy->name = name;
        copy->of = b;
        bindings.push_back(copy);
        return;
    }
    raise("alias: no binding %s", of);
}

bool BindTable::install(PyObject* module, PyTypeObject* type) {
    core_module = module;
    PyObject *dict = type->tp_dict, *functions = PyModule_GetDict(module);
    auto put = [](PyObject* to, const std::string& name, PyObject* object) {  // steals
        bool ok = object && PyDict_SetItemString(to, name.c_str(), object) == 0;
        Py_XDECREF(object);
        return ok;
    };
    auto known = [](PyObject* in, const std::string& name) {
        return Py_XNewRef(PyDict_GetItemString(in, name.c_str()));
    };
    PyObject* module_name = PyModule_GetNameObject(module);
    for (Binding* b : bindings) {
        std::string changing = b->name + "_";
        bool ok = true;
        if (b->forms & kFunction)
            ok = put(functions, b->name,
                     b->of ? known(functions, b->of->name)
                           : PyCFunction_NewEx(&b->function, nullptr, module_name));
        if (ok && b->forms & kMethod)
            ok = put(dict, b->name,
                     b->of ? known(dict, b->of->name) : PyDescr_NewMethod(type, &b->method));
        if (ok && b->forms & kInPlace)
            ok =
                put(dict, changing,
                    b->of ? known(dict, b->of->name + "_") : PyDescr_NewMethod(type, &b->in_place));
        if (ok && b->forms & kInPlaceFunction) ok = put(functions, changing, known(dict, changing));
        if (!ok) return false;
    }
    Py_XDECREF(module_name);
    PyType_Modified(type);
    return true;
}

}  // namespace ember::python
