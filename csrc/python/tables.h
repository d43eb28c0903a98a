#pragma once

#include "python/bind.h"

// What each file of this folder contributes to the module; module.cpp puts them together.
namespace ember::python {

void add_tensor_slots(std::vector<PyType_Slot>& slots);      // tensor_slots.cpp
void add_index_slots(std::vector<PyType_Slot>& slots);       // indexing.cpp
void add_conversion_slots(std::vector<PyType_Slot>& slots);  // conversions.cpp: Tensor(…)

void bind_pointwise(BindTable& table);
void bind_complex(BindTable& table);
void bind_linalg(BindTable& table);
void bind_reduce(BindTable& table);
void bind_view(BindTable& table);
void bind_factory(BindTable& table);
void bind_matmul(BindTable& table);
void bind_nn(BindTable& table);
void bind_activation(BindTable& table);
void bind_index(BindTable& table);
void bind_cuda(BindTable& table);
void bind_autocast(BindTable& table);
void bind_sort(BindTable& table);
void bind_shape(BindTable& table);
void bind_special(BindTable& table);
void bind_random(BindTable& table);
void bind_runtime(BindTable& table);
void bind_optim(BindTable& table);
void bind_spatial(BindTable& table);
void bind_rnn(BindTable& table);
void bind_sparse(BindTable& table);

bool add_autograd(PyObject* module);     // autograd.cpp
bool add_conversions(PyObject* module);  // conversions.cpp: numpy, DLPack, tensor(), item, tolist
bool add_runtime(PyObject* module);      // runtime.cpp: generators

}  // namespace ember::python
